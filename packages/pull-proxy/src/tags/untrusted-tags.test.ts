import { createImage, createLayer, startRegistryServer, temporaryFolder } from '@layerlock/test-support'
import { expect, test } from 'vitest'
import { ScriptedCoordinator } from '../coordination/scripted-coordinator.testbed.ts'
import { OciError } from '../oci/oci-error.ts'
import { parseRepository } from '../oci/repository.ts'
import { createTestLogger } from '../test-logger.testbed.ts'
import { createRegistryClient } from '../upstream/registry-client.testbed.ts'
import { TagLedger } from './tag-ledger.ts'
import { TagResolver } from './tag-resolver.ts'

/** A coordinator that has the result of others for everything. */
class SharingCoordinator extends ScriptedCoordinator {
  readonly #value: unknown

  constructor(value: unknown) {
    super()
    this.#value = value
  }

  override share(): Promise<{ value: never; ageMs: number }> {
    return Promise.resolve({ value: this.#value as never, ageMs: 0 })
  }

  override lookUp(): Promise<{ value: unknown; ageMs: number }> {
    return Promise.resolve({ value: this.#value, ageMs: 0 })
  }
}

test.each([{ digest: 'sha256:../../evil' }, { digest: 5 }, {}, null, 'text', 5, []])(
  'what others share is not used when it is no target of a tag: %j',
  async (value) => {
    await using folder = await temporaryFolder('untrusted')
    const layer = await createLayer({ folder: folder.path, sizeBytes: 4_096, seed: 'untrusted' })
    const image = await createImage({ folder: folder.path, layers: [layer] })
    await using registry = await startRegistryServer()
    registry.contents.addImage(image, { repository: 'library/app', tag: 'latest' })
    await using upstream = createRegistryClient(registry.url)
    const target = { upstream, repository: parseRepository('library/app') }
    const { signal } = new AbortController()
    const resolver = new TagResolver({
      coordinator: new SharingCoordinator(value),
      ledger: await TagLedger.open(`${folder.path}/ledger`, 60_000),
      logger: createTestLogger(),
      signal,
    })
    expect(await resolver.lastKnown(target, 'latest', new OciError('UNKNOWN', 'away'))).toBeUndefined()
    expect(await resolver.resolve(target, 'latest', undefined, signal)).toMatchObject({ digest: image.top.digest })
    expect(registry.requests.countOf({ method: 'HEAD' })).toBe(1)
  },
)
