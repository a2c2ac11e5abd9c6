import { createHash } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { digestOf, type ImageFile } from '@layerlock/test-support'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { errorCodes, type FreshImage, type ProxiedRegistry, startProxiedRegistry } from './proxied-registry.ts'

let proxied: ProxiedRegistry
let fresh: FreshImage
let layer: ImageFile
let bytes: Buffer
let path: string

beforeAll(async () => {
  proxied = await startProxiedRegistry()
})
afterAll(() => proxied[Symbol.asyncDispose]())

describe.each(['cold', 'warm'] as const)('Pulling blobs (end-2), %s', (state) => {
  beforeEach(async () => {
    fresh = await proxied.freshImage()
    layer = fresh.image.layers[0]!
    bytes = await readFile(layer.path)
    path = `${fresh.path}/blobs/${layer.digest}`
    if (state === 'warm') await proxied.ask(path)
    await proxied.asked()
  })

  const expected = (cold: readonly string[]) => (state === 'cold' ? cold : [])
  const getRange = (range: string, headers: Readonly<Record<string, string>> = {}) =>
    proxied.ask(path, { headers: { range, ...headers } })

  test('GET MUST answer 200 with the exact blob, and upstream is asked once', async () => {
    const { status, headers, body } = await proxied.ask(path)
    expect({ status, digest: digestOf(body) }).toEqual({ status: 200, digest: layer.digest })
    expect(headers).toMatchObject({
      'content-type': 'application/octet-stream',
      'content-length': String(layer.size),
      'docker-content-digest': layer.digest,
      etag: `"${layer.digest}"`,
      'accept-ranges': 'bytes',
    })
    expect(await proxied.asked()).toEqual(expected(['GET blob']))
  })

  test('HEAD MUST answer 200 with Content-Length and Docker-Content-Digest, and fetches nothing', async () => {
    const { status, headers, body } = await proxied.ask(path, { method: 'HEAD' })
    expect({ status, body: body.length }).toEqual({ status: 200, body: 0 })
    expect(headers).toMatchObject({
      'content-type': 'application/octet-stream',
      'content-length': String(layer.size),
      'docker-content-digest': layer.digest,
      'accept-ranges': 'bytes',
    })
    expect(await proxied.asked()).toEqual(expected(['HEAD blob']))
  })

  test.each([
    ['bytes=0-0', 0, 1],
    ['bytes=100-299', 100, 300],
    ['bytes=1000-', 1000, undefined],
    ['bytes=-500', -500, undefined],
    ['bytes=0-99999999999', 0, undefined],
  ])(
    'Range %s SHOULD be answered with 206 and those bytes; upstream is asked once, for all',
    async (range, from, to) => {
      const { status, headers, body } = await getRange(range)
      expect(status).toBe(206)
      expect(body.equals(bytes.subarray(from, to))).toBe(true)
      const first = from < 0 ? layer.size + from : from
      expect(headers['content-range']).toBe(`bytes ${first}-${first + body.length - 1}/${layer.size}`)
      expect(headers['content-length']).toBe(String(body.length))
      expect(await proxied.asked()).toEqual(expected(['GET blob']))
    },
  )

  test('a Range beyond the end SHOULD be answered with 416 and the size', async () => {
    const { status, headers } = await getRange(`bytes=${layer.size}-`)
    expect({ status, range: headers['content-range'] }).toEqual({ status: 416, range: `bytes */${layer.size}` })
  })

  test.each(['bytes=9-2', 'lines=0-1', 'bytes=a-b', 'bytes'])(
    'the Range "%s", which cannot be read, is ignored (RFC 9110, 14.2)',
    async (range) => {
      const { status, body } = await getRange(range)
      expect({ status, digest: digestOf(body) }).toEqual({ status: 200, digest: layer.digest })
    },
  )

  test('several ranges are answered as multipart/byteranges with those parts (RFC 9110, 15.3.7.2)', async () => {
    const { status, headers, body } = await getRange('bytes=0-9,1000-1099,-7')
    expect(status).toBe(206)
    expect(headers['content-length']).toBe(String(body.length))
    expect(partsOf(String(headers['content-type']), body)).toEqual([
      part(0, bytes.subarray(0, 10)),
      part(1000, bytes.subarray(1000, 1100)),
      part(layer.size - 7, bytes.subarray(-7)),
    ])
    expect(await proxied.asked()).toEqual(expected(['GET blob']))
  })

  test('If-Range with the blob’s ETag keeps the Range, and with another one gives the whole (RFC 9110, 13.1.5)', async () => {
    expect((await getRange('bytes=5-9', { 'if-range': `"${layer.digest}"` })).status).toBe(206)
    const whole = await getRange('bytes=5-9', { 'if-range': '"another"' })
    expect({ status: whole.status, digest: digestOf(whole.body) }).toEqual({ status: 200, digest: layer.digest })
  })

  test('a blob that the client has (If-None-Match) is answered with 304, no body, and nothing is fetched', async () => {
    const answer = await proxied.ask(path, { headers: { 'if-none-match': `"${layer.digest}"` } })
    expect({ status: answer.status, body: answer.body.length }).toEqual({ status: 304, body: 0 })
    expect((await proxied.asked()).filter((each) => each.startsWith('GET'))).toEqual([])
  })

  test.each(['gzip', 'zstd, br;q=0.9, gzip', '*', 'identity;q=0'])(
    'content is never encoded, though the client says Accept-Encoding: %s',
    async (encoding) => {
      const { headers, body } = await proxied.ask(path, { headers: { 'accept-encoding': encoding } })
      expect({ encoding: headers['content-encoding'], digest: digestOf(body) }).toEqual({
        encoding: undefined,
        digest: layer.digest,
      })
    },
  )

  function part(start: number, content: Buffer) {
    return {
      'content-range': `bytes ${start}-${start + content.length - 1}/${layer.size}`,
      'content-type': 'application/octet-stream',
      hex: content.toString('hex'),
    }
  }
})

describe('Pulling blobs, what is not there', () => {
  beforeEach(async () => {
    fresh = await proxied.freshImage()
    await proxied.asked()
  })

  test.each(['GET', 'HEAD'])('%s of a blob that is not there MUST be 404, with BLOB_UNKNOWN', async (method) => {
    const answer = await proxied.ask(`${fresh.path}/blobs/${digestOf('none')}`, { method })
    const codes = method === 'GET' ? errorCodes(answer) : []
    expect({ status: answer.status, codes }).toEqual({ status: 404, codes: method === 'GET' ? ['BLOB_UNKNOWN'] : [] })
  })

  test.each(['sha256:abc', `sha256:${'A'.repeat(64)}`, `md5:${'a'.repeat(32)}`, 'latest', `sha256:${'a'.repeat(65)}`])(
    'the digest %s is refused with 400 DIGEST_INVALID, and upstream is not asked',
    async (digest) => {
      const answer = await proxied.ask(`${fresh.path}/blobs/${digest}`)
      expect({ status: answer.status, codes: errorCodes(answer) }).toEqual({ status: 400, codes: ['DIGEST_INVALID'] })
      expect(await proxied.asked()).toEqual([])
    },
  )

  test('a blob named by sha512 can be pulled too', async () => {
    const layer512 = fresh.image.layers[0]!
    const digest = `sha512:${createHash('sha512')
      .update(await readFile(layer512.path))
      .digest('hex')}`
    proxied.registry.contents.addBlob(fresh.repository, { ...layer512, digest })
    for (const upstream of [['GET blob'], []]) {
      const { status, body } = await proxied.ask(`${fresh.path}/blobs/${digest}`)
      expect({ status, bytes: body.length }).toEqual({ status: 200, bytes: layer512.size })
      expect(await proxied.asked()).toEqual(upstream)
    }
  })
})

/** Takes a multipart body apart: the headers of each part, and its bytes in hex. */
function partsOf(contentType: string, body: Buffer): Record<string, string>[] {
  const boundary = /^multipart\/byteranges; *boundary="?([^";]+)"?$/.exec(contentType)?.[1]
  if (boundary === undefined) throw new Error(`${contentType} names no boundary`)
  const pieces = body.toString('latin1').split(`--${boundary}`)
  if (pieces.at(-1)?.trim() !== '--') throw new Error('the multipart body has no end')
  return pieces.slice(1, -1).map((piece) => {
    const [head = '', ...rest] = piece.replace(/^\r\n/, '').split('\r\n\r\n')
    const content = rest.join('\r\n\r\n').replace(/\r\n$/, '')
    const headers = head.split('\r\n').map((line) => {
      const [name = '', value = ''] = line.split(/: */)
      return [name.toLowerCase(), value] as const
    })
    return { ...Object.fromEntries(headers), hex: Buffer.from(content, 'latin1').toString('hex') }
  })
}
