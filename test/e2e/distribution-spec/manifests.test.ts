import { readFile } from 'node:fs/promises'
import { digestOf } from '@layerlock/test-support'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { errorCodes, type FreshImage, type ProxiedRegistry, startProxiedRegistry } from './proxied-registry.ts'

const none = digestOf('none')
let proxied: ProxiedRegistry
let fresh: FreshImage

beforeAll(async () => {
  proxied = await startProxiedRegistry()
})
afterAll(() => proxied[Symbol.asyncDispose]())

const manifestPath = (reference: string) => `${fresh.path}/manifests/${reference}`

describe.each(['cold', 'warm'] as const)('Pulling manifests (end-3), %s', (state) => {
  beforeEach(async () => {
    fresh = await proxied.freshImage()
    if (state === 'warm') {
      await proxied.ask(manifestPath('latest'))
      await proxied.ask(manifestPath(fresh.image.manifest.digest))
    }
    await proxied.asked()
  })

  const expected = (cold: readonly string[]) => (state === 'cold' ? cold : [])

  test('GET by tag MUST answer 200 with the exact manifest, and upstream is asked once', async () => {
    const { top } = fresh.image
    const { status, body } = await proxied.ask(manifestPath('latest'))
    expect(status).toBe(200)
    expect(body.equals(await readFile(top.path))).toBe(true)
    expect(await proxied.asked()).toEqual(expected(['HEAD manifest', 'GET manifest']))
  })

  test('GET by digest MUST answer 200 with the exact manifest, and upstream is asked once', async () => {
    const { manifest } = fresh.image
    const { status, body } = await proxied.ask(manifestPath(manifest.digest))
    expect({ status, digest: digestOf(body) }).toEqual({ status: 200, digest: manifest.digest })
    expect(await proxied.asked()).toEqual(expected(['GET manifest']))
  })

  test('Content-Type MUST be the media type of the manifest, without parameters', async () => {
    const index = await proxied.ask(manifestPath('latest'))
    expect(index.headers['content-type']).toBe('application/vnd.oci.image.index.v1+json')
    const manifest = await proxied.ask(manifestPath(fresh.image.manifest.digest))
    expect(manifest.headers['content-type']).toBe('application/vnd.oci.image.manifest.v1+json')
  })

  test.each(['GET', 'HEAD'])('Docker-Content-Digest of %s SHOULD be the digest of the manifest', async (method) => {
    for (const reference of ['latest', fresh.image.top.digest]) {
      const { headers } = await proxied.ask(manifestPath(reference), { method })
      expect(headers['docker-content-digest']).toBe(fresh.image.top.digest)
    }
  })

  test.each(['tag', 'digest'])('HEAD by %s MUST answer 200 as GET does, without a body', async (by) => {
    const reference = by === 'tag' ? 'latest' : fresh.image.top.digest
    const head = await proxied.ask(manifestPath(reference), { method: 'HEAD' })
    await proxied.asked()
    const get = await proxied.ask(manifestPath(reference))
    expect({ status: head.status, body: head.body.length }).toEqual({ status: 200, body: 0 })
    expect(head.headers['content-length']).toBe(String(fresh.image.top.size))
    for (const name of ['content-type', 'content-length', 'docker-content-digest', 'etag'] as const) {
      expect(head.headers[name]).toBe(get.headers[name])
    }
    // The GET that follows a HEAD, as containerd sends it, costs upstream nothing.
    expect(await proxied.asked()).toEqual([])
  })

  test('a manifest that the client has (If-None-Match) is answered with 304 and no body', async () => {
    const etag = `"${fresh.image.top.digest}"`
    const answer = await proxied.ask(manifestPath(fresh.image.top.digest), { headers: { 'if-none-match': etag } })
    expect({ status: answer.status, body: answer.body.length }).toEqual({ status: 304, body: 0 })
    expect(answer.headers['etag']).toBe(etag)
    const other = await proxied.ask(manifestPath(fresh.image.top.digest), { headers: { 'if-none-match': '"other"' } })
    expect(other.status).toBe(200)
  })

  test('a manifest that is not there MUST be 404, with MANIFEST_UNKNOWN', async () => {
    for (const reference of ['missing', none]) {
      const answer = await proxied.ask(manifestPath(reference))
      expect({ status: answer.status, codes: errorCodes(answer) }).toEqual({ status: 404, codes: ['MANIFEST_UNKNOWN'] })
      expect((await proxied.ask(manifestPath(reference), { method: 'HEAD' })).status).toBe(404)
    }
  })

  test('Docker-Content-Digest names the bytes that the answer has, also for a tag that is asked for by prefix', async () => {
    const { headers, body } = await proxied.ask(`/v2/docker.io/${fresh.repository}/manifests/latest`)
    expect(headers['docker-content-digest']).toBe(digestOf(body))
  })
})

describe('Pulling manifests, references', () => {
  beforeEach(async () => {
    fresh = await proxied.freshImage()
  })

  test('a tag of 128 characters MUST be possible, and one of 129 is refused without asking upstream', async () => {
    const longest = `T${'_.-9'.repeat(31)}abc`
    proxied.registry.contents.setTag(fresh.repository, longest, fresh.image.top.digest)
    expect((await proxied.ask(manifestPath(longest))).status).toBe(200)
    await proxied.asked()
    const tooLong = await proxied.ask(manifestPath(`${longest}x`))
    expect({ status: tooLong.status, codes: errorCodes(tooLong) }).toEqual({ status: 400, codes: ['MANIFEST_INVALID'] })
    expect(await proxied.asked()).toEqual([])
  })

  test.each([
    ['UPPER/case', 'NAME_INVALID'],
    ['a//b', 'NAME_INVALID'],
    ['-a', 'NAME_INVALID'],
    ['a..b', 'NAME_INVALID'],
    ['a/b_', 'NAME_INVALID'],
  ])('the name %s, which the grammar forbids, MUST NOT be asked for upstream: 400 %s', async (name, code) => {
    await proxied.asked()
    const answer = await proxied.ask(`/v2/${name}/manifests/latest`)
    expect({ status: answer.status, codes: errorCodes(answer) }).toEqual({ status: 400, codes: [code] })
    expect(await proxied.asked()).toEqual([])
  })

  test('a repository that upstream does not know MUST be 404', async () => {
    const answer = await proxied.ask('/v2/library/no-such-repository/manifests/latest')
    expect(answer.status).toBe(404)
    expect(['NAME_UNKNOWN', 'MANIFEST_UNKNOWN']).toContain(errorCodes(answer)[0])
  })
})
