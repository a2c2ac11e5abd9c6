import {
  createImage,
  createLayer,
  type Fault,
  type Image,
  type Layer,
  startRegistryServer,
  temporaryFolder,
  type TemporaryFolder,
} from '@layerlock/test-support'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type Digest, parseDigest } from '../oci/digest.ts'
import { parseRepository } from '../oci/repository.ts'
import { createRegistryClient } from './registry-client.testbed.ts'
import type { OpenedContent, RegistryClient } from './registry-client.ts'

const repository = parseRepository('library/app')
const scope = { repository }
const { signal } = new AbortController()

let folder: TemporaryFolder
let layer: Layer
let image: Image
let digest: Digest

beforeAll(async () => {
  folder = await temporaryFolder('refusals')
  layer = await createLayer({ folder: folder.path, sizeBytes: 4_096, seed: 'refusals' })
  image = await createImage({ folder: folder.path, layers: [layer] })
  digest = parseDigest(layer.digest)
})

afterAll(async () => {
  await folder[Symbol.asyncDispose]()
})

async function startRegistry(options: Parameters<typeof startRegistryServer>[0] = {}) {
  const registry = await startRegistryServer(options)
  registry.contents.addImage(image, { repository, tag: 'latest' })
  return registry
}

function open(client: RegistryClient): Promise<OpenedContent> {
  return client.open(scope, { kind: 'blobs', digest }, { offset: 0, signal })
}

describe('refusals', () => {
  test.each([
    [401, 'UNAUTHORIZED'],
    [403, 'DENIED'],
    [404, 'BLOB_UNKNOWN'],
    [429, 'TOOMANYREQUESTS'],
    [500, 'UNKNOWN'],
    [502, 'UNKNOWN'],
    [418, 'UNKNOWN'],
    [410, 'BLOB_UNKNOWN'],
    [451, 'DENIED'],
    [400, 'UNKNOWN'],
    [406, 'UNKNOWN'],
  ])('%i becomes %s, with what upstream says', async (status, code) => {
    const body = JSON.stringify({ errors: [{ code: 'WHATEVER', message: 'because' }] })
    await using registry = await startRegistry({ fault: () => ({ kind: 'status', status, body }) })
    await using client = createRegistryClient(registry.url)
    const message = status === 401 ? /wants credentials/ : /docker\.io answers \d+: WHATEVER: because/
    await expect(open(client)).rejects.toMatchObject({ code, message: expect.stringMatching(message) })
  })

  test.each([
    [400, true],
    [406, true],
    [410, true],
    [451, true],
    [500, false],
    [503, false],
  ])('%i is for good: %s', async (status, permanent) => {
    await using registry = await startRegistry({ fault: () => ({ kind: 'status', status }) })
    await using client = createRegistryClient(registry.url)
    await expect(open(client)).rejects.toMatchObject({ permanent })
  })

  test.each([
    [429, 3_600_000],
    [503, 60_000],
  ])('%i with Retry-After: 3600 asks for a pause of %i ms at the most', async (status, retryAfterMs) => {
    const headers = { 'Retry-After': '3600' }
    await using registry = await startRegistry({ fault: () => ({ kind: 'status', status, headers }) })
    await using client = createRegistryClient(registry.url)
    await expect(client.resolveTag(scope, 'latest', signal)).rejects.toMatchObject({ retryAfterMs })
  })

  test('what storage asks for is a pause of a minute at the most: it may be one blob that is in trouble', async () => {
    const fault: Fault = { kind: 'status', status: 429, headers: { 'Retry-After': '3600' } }
    await using registry = await startRegistry({
      redirectBlobsTo: '127.0.0.2',
      fault: ({ kind }) => (kind === 'storage' ? fault : undefined),
    })
    await using client = createRegistryClient(registry.url)
    await expect(open(client)).rejects.toMatchObject({ code: 'TOOMANYREQUESTS', retryAfterMs: 60_000 })
  })

  test.each([429, 503])('%i with Retry-After is a limit, of the registry and of its storage', async (status) => {
    const fault: Fault = { kind: 'status', status, headers: { 'retry-after': '60' } }
    for (const from of ['blob', 'storage']) {
      await using registry = await startRegistry({
        redirectBlobsTo: '127.0.0.2',
        fault: ({ kind }) => (kind === from ? fault : undefined),
      })
      await using client = createRegistryClient(registry.url)
      await expect(open(client)).rejects.toMatchObject({ code: 'TOOMANYREQUESTS', retryAfterMs: 60_000 })
      registry.requests.clear()
      await expect(client.resolveTag(scope, 'latest', signal)).rejects.toMatchObject({ code: 'TOOMANYREQUESTS' })
      expect(registry.requests.all).toEqual([])
    }
  })

  test('404 of a manifest becomes MANIFEST_UNKNOWN', async () => {
    await using registry = await startRegistry()
    await using client = createRegistryClient(registry.url)
    await expect(client.resolveTag(scope, 'none', signal)).rejects.toMatchObject({ code: 'MANIFEST_UNKNOWN' })
  })

  test.each([
    ['7', 7_000],
    ['0', 2_000],
    ['999999999', 86_400_000],
    ['soon', 2_000],
  ])('429 with Retry-After %j is to be tried again after %s ms', async (header, retryAfterMs) => {
    const headers = { 'retry-after': header }
    await using registry = await startRegistry({ fault: () => ({ kind: 'status', status: 429, headers }) })
    await using client = createRegistryClient(registry.url)
    await expect(open(client)).rejects.toMatchObject({ code: 'TOOMANYREQUESTS', retryAfterMs })
  })

  test('429 with a date is to be tried again then, in whole milliseconds', async () => {
    const headers = { 'retry-after': new Date(Date.now() + 60_000).toUTCString() }
    await using registry = await startRegistry({ fault: () => ({ kind: 'status', status: 429, headers }) })
    await using client = createRegistryClient(registry.url)
    const error = await open(client).catch((thrown: unknown) => thrown as { retryAfterMs: number })
    const { retryAfterMs } = error as { retryAfterMs: number }
    expect(retryAfterMs).toBeGreaterThan(50_000)
    expect(retryAfterMs).toBeLessThanOrEqual(60_000)
    expect(Number.isInteger(retryAfterMs)).toBe(true)
  })

  test.each([
    ['no JSON', '<html>'],
    ['null', 'null'],
    ['other JSON', '{"errors":[null]}'],
    ['an endless message', JSON.stringify({ errors: [{ message: 'x'.repeat(10_000) }] })],
    ['an endless body', `{"errors":"${'x'.repeat(1_000_000)}"}`],
  ])('may have a body that is %s', async (_, body) => {
    await using registry = await startRegistry({ fault: () => ({ kind: 'status', status: 403, body }) })
    await using client = createRegistryClient(registry.url)
    const error = await open(client).catch((thrown: unknown) => thrown)
    expect(error).toMatchObject({ code: 'DENIED' })
    expect((error as Error).message.length).toBeLessThan(500)
  })

  test('no answer becomes UNKNOWN', async () => {
    await using client = createRegistryClient('http://127.0.0.1:1')
    await expect(open(client)).rejects.toMatchObject({
      code: 'UNKNOWN',
      message: expect.stringContaining('127.0.0.1:1'),
    })
  })
})
