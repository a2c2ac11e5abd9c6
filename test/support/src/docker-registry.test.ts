import { describe, expect, test } from 'vitest'

import { requireBinaries } from './binaries.ts'
import { createCertificate } from './certificate.ts'
import { startDockerRegistry } from './docker-registry.ts'
import { httpGet } from './http-get.ts'
import { createImage } from './image.ts'
import { createLayer } from './layer.ts'
import { basicAuthorization, type RegistryUser } from './registry-users.ts'
import { temporaryFolder } from './temporary-folder.ts'
import { startTokenServer } from './token-server.ts'
import { waitFor } from './wait-for.ts'

async function smallImage(folder: string) {
  const layer = await createLayer({ folder, sizeBytes: 4096, seed: 1 })
  return createImage({ folder, layers: [layer] })
}

describe.skipIf(!requireBinaries('docker-registry', 'openssl').available)('a docker-registry with users', () => {
  test('by tokens lets each user pull only from their own repositories', async () => {
    await using folder = await temporaryFolder('token-registry')
    const users = new Map<string, RegistryUser>([
      ['alice', { password: 'a', pulls: ['private/a'] }],
      ['bob', { password: 'b', pulls: ['private/b'] }],
    ])
    await using server = await startTokenServer({ certificate: await createCertificate(folder.path), users })
    await using registry = await startDockerRegistry({ auth: { kind: 'token', server } })
    const image = await smallImage(folder.path)
    await registry.pushImage(image, { repository: 'private/a', tag: '1' })
    const url = `${registry.url}/v2/private/a/blobs/${image.config.digest}`

    const challenge = (await httpGet(url)).headers['www-authenticate']
    expect(challenge).toContain(`realm="${server.realm}",service="${server.service}",scope="repository:private/a:pull"`)
    const asked = `${server.realm}?service=${server.service}&scope=repository:private/a:pull`
    const pullWith = async (token: unknown) =>
      (await httpGet(url, { headers: { authorization: `Bearer ${String(token)}` } })).status
    const tokenOf = async (user: string, password: string) => {
      const { status, body } = await httpGet(asked, {
        headers: { authorization: basicAuthorization(user, password) },
        keepBody: true,
      })
      expect(status).toBe(200)
      return (JSON.parse(body!.toString()) as { token: string }).token
    }
    expect(await pullWith(await tokenOf('alice', 'a'))).toBe(200)
    expect(await pullWith(await tokenOf('bob', 'b'))).toBe(401)
    expect((await httpGet(asked, { headers: { authorization: basicAuthorization('alice', 'b') } })).status).toBe(401)

    const form = {
      grant_type: 'refresh_token',
      service: server.service,
      scope: 'repository:private/a:pull',
      client_id: 'test',
    }
    const refreshed = await fetch(server.realm, {
      method: 'POST',
      body: new URLSearchParams({ ...form, refresh_token: server.refreshTokenOf('alice') }),
    })
    expect(await pullWith(((await refreshed.json()) as { access_token: string }).access_token)).toBe(200)
    expect(
      (await fetch(server.realm, { method: 'POST', body: new URLSearchParams({ ...form, refresh_token: 'stolen' }) }))
        .status,
    ).toBe(401)
  })

  test('by passwords lets in who has one, until it is taken away', async () => {
    await using folder = await temporaryFolder('basic-registry')
    const users = new Map<string, RegistryUser>([['alice', { password: 'a' }]])
    await using registry = await startDockerRegistry({ auth: { kind: 'basic', users } })
    const image = await smallImage(folder.path)
    await registry.pushImage(image, { repository: 'private/a', tag: '1' })
    const url = `${registry.url}/v2/private/a/blobs/${image.config.digest}`
    const pullAs = async (user: string, password: string) => {
      const headers = { authorization: basicAuthorization(user, password) }
      return (await httpGet(url, { headers })).status
    }
    expect(await pullAs('alice', 'a')).toBe(200)
    expect(await pullAs('alice', 'b')).toBe(401)
    users.delete('alice')
    await registry.rereadUsers()
    await waitFor(async () => (await pullAs('alice', 'a')) === 401, { what: 'alice to be refused' })
  })
})
