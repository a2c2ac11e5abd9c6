import { LockServer, MemoryLockStore } from '@layerlock/server'
import { createImage, createLayer, startRegistryServer, temporaryFolder } from '@layerlock/test-support'
import { expect, test } from 'vitest'
import { parseRepository } from '../oci/repository.ts'
import { createRegistryClient } from '../upstream/registry-client.testbed.ts'
import { connectCoordinator } from './lock-coordinator.testbed.ts'
import { ScriptedCoordinator } from './scripted-coordinator.testbed.ts'
import { TagResolver } from './tag-resolver.ts'

const { signal } = new AbortController()

test('a tag is resolved by one HEAD for all nodes, and a tag that is not there by one too', async () => {
  await using folder = await temporaryFolder('tags')
  const layer = await createLayer({ folder: folder.path, sizeBytes: 4_096, seed: 'tags' })
  const image = await createImage({ folder: folder.path, layers: [layer] })
  await using registry = await startRegistryServer({ latencyMs: 20 })
  registry.contents.addImage(image, { repository: 'library/app', tag: 'latest' })
  await using server = await LockServer.start({ host: '127.0.0.1', port: 0, store: new MemoryLockStore() })
  await using a = await connectCoordinator(server.url, 'a')
  await using b = await connectCoordinator(server.url, 'b')
  await using upstream = createRegistryClient(registry.url)
  const target = { upstream, repository: parseRepository('library/app') }
  const resolvers = [a, b].map((node) => new TagResolver(node, 60_000, signal))

  const { top } = image
  const resolved = await Promise.all(resolvers.map((resolver) => resolver.resolve(target, 'latest', signal)))
  const found = { digest: top.digest, size: top.size, mediaType: top.mediaType }
  expect(resolved).toEqual([found, found])
  expect(await resolvers[0]!.resolve(target, 'latest', signal)).toMatchObject({ digest: top.digest })
  expect(registry.requests.all).toMatchObject([{ method: 'HEAD', reference: 'latest' }])

  const failed = await Promise.allSettled(resolvers.map((resolver) => resolver.resolve(target, 'none', signal)))
  const unknown = { status: 'rejected', reason: { code: 'MANIFEST_UNKNOWN' } }
  expect(failed).toMatchObject([unknown, unknown])
  expect(registry.requests.countOf({ reference: 'none' })).toBe(1)
})

/** A coordinator that has the result of others for everything. */
class SharingCoordinator extends ScriptedCoordinator {
  readonly #value: unknown

  constructor(value: unknown) {
    super()
    this.#value = value
  }

  override share<T>(): Promise<T> {
    return Promise.resolve(this.#value as T)
  }
}

test.each([{ digest: 'sha256:../../evil' }, { digest: 5 }, {}, null, 'text', 5, []])(
  'what others share is not used when it is no target of a tag: %j',
  async (value) => {
    await using folder = await temporaryFolder('tags')
    const layer = await createLayer({ folder: folder.path, sizeBytes: 4_096, seed: 'tags' })
    const image = await createImage({ folder: folder.path, layers: [layer] })
    await using registry = await startRegistryServer()
    registry.contents.addImage(image, { repository: 'library/app', tag: 'latest' })
    await using upstream = createRegistryClient(registry.url)
    const target = { upstream, repository: parseRepository('library/app') }
    const resolver = new TagResolver(new SharingCoordinator(value), 60_000, signal)
    expect(await resolver.resolve(target, 'latest', signal)).toMatchObject({ digest: image.top.digest })
    expect(registry.requests.countOf({ method: 'HEAD' })).toBe(1)
  },
)
