import {
  createImage,
  createLayer,
  type Image,
  type Layer,
  type RegistryServer,
  startRegistryServer,
  temporaryFolder,
} from '@layerlock/test-support'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { parseRepository } from '../oci/repository.ts'
import { createRegistryClient } from '../upstream/registry-client.testbed.ts'
import type { RegistryClient } from '../upstream/registry-client.ts'
import { AccessGate, type AccessGateOptions } from './access-gate.ts'
import { visitorOf } from './visitor.ts'

const { signal } = new AbortController()
const alice = visitorOf('Basic YWxpY2U6YQ==')
const bob = visitorOf('Basic Ym9iOmI=')

let stack: AsyncDisposableStack
let registry: RegistryServer
let upstream: RegistryClient
let image: Image
let layer: Layer

/** Who may read what, by `Authorization`. */
const RIGHTS: Readonly<Record<string, string>> = {
  [alice.authorization!]: 'private/a',
  [bob.authorization!]: 'private/b',
}

beforeEach(async () => {
  stack = new AsyncDisposableStack()
  const folder = stack.use(await temporaryFolder('access'))
  layer = await createLayer({ folder: folder.path, sizeBytes: 4_096, seed: 'access' })
  image = await createImage({ folder: folder.path, layers: [layer] })
  registry = stack.use(
    await startRegistryServer({
      latencyMs: 10,
      fault: ({ authorization = '', repository = '' }) => {
        if (RIGHTS[authorization] === repository) return undefined
        const headers = { 'WWW-Authenticate': 'Basic realm="private"' }
        return { kind: 'status', status: authorization === '' ? 401 : 403, headers }
      },
    }),
  )
  registry.contents.addImage(image, { repository: 'private/a', tag: 'latest' })
  registry.contents.addBlob('private/b', { ...image.blobs[0]!, digest: image.blobs[0]!.digest })
  upstream = stack.use(createRegistryClient(registry.url, { passthrough: true }))
})

afterEach(async () => {
  await stack.disposeAsync()
})

const createGate = (options: Partial<AccessGateOptions> = {}) =>
  new AccessGate({ accessTtlMs: 60_000, signal, ...options })

const target = (repository: string, visitor = alice) => ({ upstream, repository: parseRepository(repository), visitor })
const heads = () => registry.requests.countOf({ method: 'HEAD' })

test('asks upstream once for a client, its repository and a blob there, whoever asks meanwhile', async () => {
  const gate = createGate()
  const asking = Array.from({ length: 5 }, () => gate.admit(target('private/a'), 'blobs', layer.digest))
  await Promise.all(asking)
  await gate.admit(target('private/a'), 'blobs', layer.digest)
  expect(heads()).toBe(1)
  // The client is known, but whether this is in that repository is not.
  await gate.admit(target('private/a'), 'manifests', image.top.digest)
  expect(heads()).toBe(2)
  expect(registry.requests.countOf({ method: 'GET' })).toBe(0)
})

test('does not let a client read what only another one may, though both are known', async () => {
  const gate = createGate()
  const shared = image.blobs[0]!.digest
  await gate.admit(target('private/a'), 'blobs', layer.digest)
  await gate.admit(target('private/b', bob), 'blobs', shared)
  await expect(gate.admit(target('private/a', bob), 'blobs', layer.digest)).rejects.toMatchObject({ code: 'DENIED' })
  const hidden = image.manifest.digest
  await gate.admit(target('private/a'), 'manifests', hidden)
  // Not through a repository of his own either: it is not there.
  await expect(gate.admit(target('private/b', bob), 'manifests', hidden)).rejects.toMatchObject({
    code: 'MANIFEST_UNKNOWN',
  })
  await expect(gate.admit(target('private/a', bob), 'manifests', 'latest')).rejects.toMatchObject({ code: 'DENIED' })
})

test('passes on the challenge of upstream to a client without credentials', async () => {
  const gate = createGate()
  const nobody = target('private/a', visitorOf(undefined))
  await expect(gate.admit(nobody, 'blobs', layer.digest)).rejects.toMatchObject({
    code: 'UNAUTHORIZED',
    challenge: 'Basic realm="private"',
  })
})

test('tells what a tag names when upstream has just said it, and lets its manifest be read', async () => {
  const gate = createGate()
  const { digest, size, mediaType } = image.top
  expect(await gate.admit(target('private/a'), 'manifests', 'latest')).toEqual({ digest, size, mediaType })
  gate.contains(target('private/a'), digest)
  expect(await gate.admit(target('private/a'), 'manifests', 'latest')).toBeUndefined()
  await gate.admit(target('private/a'), 'manifests', digest)
  expect(heads()).toBe(1)
})

test.each([
  ['lets read', 206, undefined],
  ['refuses', 403, { code: 'UNKNOWN' }],
  ['does not have', 404, { code: 'BLOB_UNKNOWN' }],
])('behind a redirect it is the storage that decides: what it %s', async (_what, status, failure) => {
  const storage = stack.use(await startRegistryServer({ host: '127.0.0.2' }))
  storage.fault = () => ({ kind: 'status', status, headers: { 'Content-Range': 'bytes 0-0/4096' } })
  const server = stack.use(
    await startRegistryServer({
      fault: () => ({ kind: 'status', status: 307, headers: { Location: `${storage.url}/signed` } }),
    }),
  )
  const redirecting = stack.use(createRegistryClient(server.url, { passthrough: true }))
  const asked = createGate().admit({ ...target('private/a'), upstream: redirecting }, 'blobs', layer.digest)
  const [answer] = await Promise.allSettled([asked])
  expect(answer).toMatchObject(failure === undefined ? { status: 'fulfilled' } : { reason: failure })
  expect(storage.requests.all).toMatchObject([{ method: 'GET', range: 'bytes=0-0', authorization: false }])
})

test('asks again when its yes is too old, and each time after a no', async () => {
  const gate = createGate({ accessTtlMs: 1 })
  await gate.admit(target('private/a'), 'blobs', layer.digest)
  await new Promise((resolve) => setTimeout(resolve, 20))
  await gate.admit(target('private/a'), 'blobs', layer.digest)
  expect(heads()).toBe(2)
  for (let time = 0; time < 2; time++) {
    await expect(gate.admit(target('private/a', bob), 'blobs', layer.digest)).rejects.toMatchObject({ code: 'DENIED' })
  }
  expect(heads()).toBe(4)
})

test('asks nothing for a client that has no credentials of its own to show', async () => {
  const { visitor: _visitor, ...trusted } = target('private/a')
  await createGate().admit(trusted, 'blobs', layer.digest)
  expect(heads()).toBe(0)
})

test('the id of a visitor tells nothing of its credentials, and two visitors apart', () => {
  expect(visitorOf('Basic YWxpY2U6YQ==').id).toBe(alice.id)
  expect(new Set([alice.id, bob.id, visitorOf(undefined).id]).size).toBe(3)
  expect(alice.id).not.toContain('YWxpY2U6YQ')
})
