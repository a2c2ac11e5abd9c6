import { readFile } from 'node:fs/promises'
import { createLayer, type RegistryServer, startRegistryServer, temporaryFolder } from '@layerlock/test-support'
import { readContent } from '../content/read-content.testbed.ts'
import type { ClaimAnswer } from '../coordination/coordinator.ts'
import { ScriptedCoordinator } from '../coordination/scripted-coordinator.testbed.ts'
import type { TestHttpServer } from '../http-server.testbed.ts'
import { type Digest, digestOf, parseDigest } from '../oci/digest.ts'
import { parseRepository } from '../oci/repository.ts'
import type { Peer } from '../relay/peer.ts'
import { createRegistryClient } from '../upstream/registry-client.testbed.ts'
import { startNode, type TestNode } from './node.testbed.ts'
import { type SenderOptions, startSender } from './sender.testbed.ts'

/** The size of the blob. */
export const SIZE_BYTES = 400 * 1024

/** A node whose fetcher is tested, a coordinator that tells it what the test says, and an upstream with one blob. */
export class FetcherBed implements AsyncDisposable {
  readonly registry: RegistryServer
  readonly digest: Digest
  readonly bytes: Buffer
  readonly coordinator: ScriptedCoordinator
  /** The node whose fetcher is tested. */
  readonly node: TestNode
  /** What else is to end with the test. */
  readonly stack: AsyncDisposableStack
  readonly #folder: string

  private constructor(
    parts: Pick<FetcherBed, 'registry' | 'digest' | 'bytes' | 'coordinator' | 'node' | 'stack'>,
    folder: string,
  ) {
    this.registry = parts.registry
    this.digest = parts.digest
    this.bytes = parts.bytes
    this.coordinator = parts.coordinator
    this.node = parts.node
    this.stack = parts.stack
    this.#folder = folder
  }

  static async start(): Promise<FetcherBed> {
    await using parts = new AsyncDisposableStack()
    const { path: folder } = parts.use(await temporaryFolder('fetcher'))
    const layer = await createLayer({ folder, sizeBytes: SIZE_BYTES, seed: 'fetcher' })
    const registry = parts.use(await startRegistryServer())
    registry.contents.addBlob('library/app', { ...layer, mediaType: 'application/octet-stream' })
    const coordinator = new ScriptedCoordinator()
    const node = parts.use(await startNode({ name: 'tested', folder, coordinator }))
    const bytes = await readFile(layer.path)
    const digest = parseDigest(layer.digest)
    return new FetcherBed({ registry, digest, bytes, coordinator, node, stack: parts.move() }, folder)
  }

  /** Opens the blob at a node and reads it to its end. */
  async pull(from = this.node): Promise<string> {
    await using upstream = createRegistryClient(this.registry.url)
    const request = { upstream, repository: parseRepository('library/app'), kind: 'blobs' as const }
    try {
      const opened = await from.flights.open(this.digest, request)
      await using content = opened.content
      return digestOf(await readContent(content))
    } finally {
      await from.flights.idle()
    }
  }

  /** Another node, which may always lead. */
  async startOther(name: string): Promise<TestNode> {
    return this.stack.use(await startNode({ name, folder: this.#folder }))
  }

  /** Another node that has the blob in its store. */
  async startHolder(name: string): Promise<Peer> {
    const holder = await this.startOther(name)
    const ingest = await holder.store.ingest(this.digest)
    await ingest.append(this.bytes)
    await ingest.commit()
    await ingest.release()
    return holder.peer
  }

  /** What calls itself a peer and sends these bytes. */
  async startSender(sent: Buffer, options: Omit<SenderOptions, 'received'> = {}): Promise<Peer & TestHttpServer> {
    return this.stack.use(await startSender(sent, { ...options, received: () => this.node.stats.bytes.peer }))
  }

  /** The ranges of the blob that upstream was asked for. */
  upstreamRanges(): (string | undefined)[] {
    return this.registry.requests.matching({ method: 'GET', digest: this.digest }).map(({ range }) => range)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stack.disposeAsync()
  }
}

export function follow(source: Peer | undefined): ClaimAnswer {
  return { kind: 'follow', source }
}

export function copies(...peers: Peer[]): ClaimAnswer {
  return { kind: 'copies', copies: peers, outcome: 7 }
}
