import { Agent } from 'node:http'
import { digestOf } from '@layerlock/test-support'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { ask, errorCodes, type FreshImage, type ProxiedRegistry, startProxiedRegistry } from './proxied-registry.ts'

const none = digestOf('none')
let proxied: ProxiedRegistry
let fresh: FreshImage

beforeAll(async () => {
  proxied = await startProxiedRegistry()
  fresh = await proxied.freshImage()
})
afterAll(() => proxied[Symbol.asyncDispose]())
beforeEach(async () => {
  proxied.registry.fault = undefined
  await proxied.asked()
})

describe('Determining Support (end-1)', () => {
  test.each(['/v2/', '/v2', '/v2/?ns=docker.io'])('GET %s MUST be 200, and asks nobody', async (path) => {
    for (const method of ['GET', 'HEAD']) {
      const { status, headers } = await proxied.ask(path, { method })
      expect(status).toBe(200)
      expect(headers['docker-distribution-api-version']).toBe('registry/2.0')
    }
    expect(await proxied.asked()).toEqual([])
  })
})

describe('Error Codes', () => {
  test.each([
    ['/', 400],
    ['/v1/', 400],
    ['/v2/library/app', 400],
    [`/v2/Bad/blobs/${none}`, 400],
    ['/v2/library/app/blobs/bad', 400],
    [`/v2/library/app/blobs/${none}`, 404],
    ['/v2/library/app/manifests/none', 404],
    ['/v2/library/app/tags/list', 404],
  ])('the error of %s (%i) has the envelope: one error, with a code in capitals and a message', async (path, code) => {
    const { status, headers, body } = await proxied.ask(path)
    expect(status).toBe(code)
    expect(headers['content-type']).toBe('application/json')
    expect(headers['docker-distribution-api-version']).toBe('registry/2.0')
    expect(JSON.parse(String(body))).toEqual({
      errors: [{ code: expect.stringMatching(/^[A-Z]+(_[A-Z]+)*$/), message: expect.stringMatching(/./) }],
    })
  })

  test.each([
    [401, 401, 'UNAUTHORIZED'],
    [403, 403, 'DENIED'],
    [404, 404, 'BLOB_UNKNOWN'],
    [429, 429, 'TOOMANYREQUESTS'],
    [500, 502, 'UNKNOWN'],
    [503, 502, 'UNKNOWN'],
  ])('upstream’s %i is told as %i %s', async (upstream, status, code) => {
    proxied.registry.fault = () => ({ kind: 'status', status: upstream })
    const answer = await proxied.ask(`${fresh.path}/blobs/${digestOf(`error ${upstream}`)}`)
    expect({ status: answer.status, codes: errorCodes(answer) }).toEqual({ status, codes: [code] })
  })

  test.each([
    ['manifests/none', 404],
    [`blobs/${none}`, 404],
    ['blobs/bad', 400],
  ])('the error of HEAD of %s has the status %i and no body', async (path, status) => {
    const answer = await proxied.ask(`${fresh.path}/${path}`, { method: 'HEAD' })
    expect({ status: answer.status, body: answer.body.length }).toEqual({ status, body: 0 })
  })
})

describe('everything that writes (end-4 to end-7, end-9 to end-11)', () => {
  const writes = (): readonly (readonly [string, string])[] => [
    ['POST', `${fresh.path}/blobs/uploads/`],
    ['POST', `${fresh.path}/blobs/uploads/?digest=${none}`],
    ['POST', `${fresh.path}/blobs/uploads/?mount=${none}&from=library/other`],
    ['PATCH', `${fresh.path}/blobs/uploads/some-session`],
    ['PUT', `${fresh.path}/blobs/uploads/some-session?digest=${none}`],
    ['PUT', `${fresh.path}/manifests/latest`],
    ['DELETE', `${fresh.path}/manifests/latest`],
    ['DELETE', `${fresh.path}/manifests/${fresh.image.top.digest}`],
    ['DELETE', `${fresh.path}/blobs/${fresh.image.layers[0]!.digest}`],
  ]

  test('is 405 UNSUPPORTED, with the methods that are Allowed, and changes nothing', async () => {
    for (const [method, path] of writes()) {
      for (const body of [Buffer.alloc(0), Buffer.alloc(100_000)]) {
        const answer = await proxied.ask(path, { method, body, headers: { 'content-length': String(body.length) } })
        const { status, headers } = answer
        expect({ method, path, status, allow: headers['allow'], codes: errorCodes(answer) }).toEqual({
          method,
          path,
          status: 405,
          allow: 'GET, HEAD',
          codes: ['UNSUPPORTED'],
        })
      }
    }
    expect(await proxied.asked()).toEqual([])
  })
})

describe('Registry Proxying (ns)', () => {
  test('a request with ns is answered with the same OCI-Namespace', async () => {
    for (const path of [`${fresh.path}/manifests/latest`, `${fresh.path}/blobs/${fresh.image.config.digest}`]) {
      for (const method of ['GET', 'HEAD']) {
        const { status, headers } = await proxied.ask(`${path}?ns=docker.io`, { method })
        expect({ status, namespace: headers['oci-namespace'] }).toEqual({ status: 200, namespace: 'docker.io' })
      }
    }
    expect(proxied.registry.requests.all.filter(({ url }) => url.includes('ns='))).toEqual([])
  })

  test('an ns that is not configured is 404 NAME_UNKNOWN, and asks nobody', async () => {
    for (const ns of ['quay.io', 'docker.io:444', proxied.registry.host, '']) {
      const answer = await proxied.ask(`${fresh.path}/manifests/latest?ns=${ns}`)
      expect({ ns, status: answer.status, codes: errorCodes(answer) }).toEqual({
        ns,
        status: 404,
        codes: ['NAME_UNKNOWN'],
      })
    }
    expect(await proxied.asked()).toEqual([])
  })
})

describe('Warnings', () => {
  test('upstream’s Warning goes with its list', async () => {
    const warning = '299 - "this registry moves soon"'
    proxied.registry.fault = () => ({ kind: 'status', status: 200, headers: { Warning: warning }, body: '{"tags":[]}' })
    const { headers } = await proxied.ask(`${fresh.path}/tags/list`)
    expect(headers['warning']).toBe(warning)
  })

  test('a tag that is served while upstream fails says so, with code 299 and agent "-" as they MUST be', async () => {
    await using stale = await startProxiedRegistry({ args: ['--tag-ttl', '1ms'] })
    const { path, image } = await stale.freshImage()
    const known = await stale.ask(`${path}/manifests/latest`)
    expect({ status: known.status, warning: known.headers['warning'] }).toEqual({ status: 200, warning: undefined })
    await stale.landed()
    stale.registry.fault = () => ({ kind: 'status', status: 503 })
    const { status, headers, body } = await stale.ask(`${path}/manifests/latest`)
    expect({ status, digest: digestOf(body) }).toEqual({ status: 200, digest: image.top.digest })
    expect(headers['warning']).toMatch(/^299 - "[^"]+"$/)
  })
})

describe('connections', () => {
  test('are kept for longer than containerd’s 30 s, and carry one request after another', async () => {
    using sockets = new DisposableStack()
    const agent = sockets.adopt(new Agent({ keepAlive: true, maxSockets: 1 }), (each) => each.destroy())
    let opened = 0
    const createConnection = agent.createConnection.bind(agent)
    agent.createConnection = (...given) => {
      opened++
      return createConnection(...given)
    }
    for (const path of ['/v2/', `${fresh.path}/manifests/latest`, `${fresh.path}/blobs/${none}`, '/nonsense']) {
      const { headers } = await ask(proxied.proxy.url, path, { agent })
      expect(Number(/timeout=(\d+)/.exec(String(headers['keep-alive']))?.[1])).toBeGreaterThanOrEqual(35)
    }
    expect(opened).toBe(1)
  })
})
