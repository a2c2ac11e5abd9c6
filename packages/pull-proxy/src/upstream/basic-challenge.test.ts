import { expect, test } from 'vitest'
import { failureOf } from '../failure-of.testbed.ts'
import { startHttpServer } from '../http-server.testbed.ts'
import { fixed, identityToken, password, repository, TokenUser } from './token-source.testbed.ts'

const authorization = `Basic ${btoa('ann:s3cret:word')}`

/** A registry that knows one user. */
async function startBasicRegistry() {
  return startHttpServer(({ headers }, response) => {
    const isRight = headers.authorization === authorization
    response.writeHead(isRight ? 200 : 401, { 'www-authenticate': 'Basic realm="registry"' }).end()
  })
}

test('an upstream that takes Basic is sent it unasked from the second request on', async () => {
  await using registry = await startBasicRegistry()
  await using user = new TokenUser(registry.url, { credentials: fixed(password) })
  expect([await user.status(), await user.status()]).toEqual([200, 200])
  expect(registry.requests.map(({ headers }) => headers.authorization)).toEqual([
    undefined,
    authorization,
    authorization,
  ])
})

test('a password that is refused is told without showing it, and is not sent unasked', async () => {
  await using registry = await startBasicRegistry()
  await using user = new TokenUser(registry.url, { credentials: fixed({ ...password, password: 'wr0ng' }) })
  expect(await user.status()).toBe(401)
  const failure = await failureOf(user.status())
  expect(failure).toMatchObject({ code: 'UNAUTHORIZED', message: expect.stringContaining('refuses the credentials') })
  expect(String(failure)).not.toContain('wr0ng')
  expect(await user.tokens.known(repository)).toBeUndefined()
})

test('a password that was replaced is found, also where a source would have remembered the old one', async () => {
  await using registry = await startBasicRegistry()
  const asked: (boolean | undefined)[] = []
  let current = 'old'
  await using user = new TokenUser(registry.url, {
    credentials: {
      get: ({ fresh }) => {
        asked.push(fresh)
        if (fresh === true) current = 's3cret:word'
        return Promise.resolve({ kind: 'basic', username: 'ann', password: current })
      },
    },
  })
  expect([await user.status(), await user.status()]).toEqual([401, 200])
  expect(asked).toEqual([false, false, true])
})

test('an identity token is nothing that Basic could be answered with', async () => {
  await using registry = await startBasicRegistry()
  await using user = new TokenUser(registry.url, { credentials: fixed(identityToken) })
  const failure = await failureOf(user.status())
  expect(failure).toMatchObject({ code: 'UNAUTHORIZED', message: expect.stringContaining('an identity token') })
  expect(String(failure)).not.toContain('id3ntity')
})

test('no password goes over plain http to another machine unless the upstream is marked as insecure', async () => {
  const challenge = 'Basic realm="x"'
  await using strict = new TokenUser('http://registry.example', { credentials: fixed(password) })
  await expect(strict.tokens.answer(challenge, repository, undefined)).rejects.toThrow('without https')
  await using insecure = new TokenUser('http://registry.example', { credentials: fixed(password), insecure: true })
  expect(await insecure.tokens.answer(challenge, repository, undefined)).toBe(authorization)
})

test('credentials that cannot be had fail the request', async () => {
  await using registry = await startBasicRegistry()
  const failing = { get: () => Promise.reject(new Error('no credentials today')) }
  await using user = new TokenUser(registry.url, { credentials: failing })
  await expect(user.status()).rejects.toThrow('no credentials today')
})
