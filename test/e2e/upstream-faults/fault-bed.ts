import { existsSync } from 'node:fs'
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import {
  createImage,
  createLayer,
  digestOfFile,
  type Fault,
  type FaultRequest,
  hexOf,
  type Image,
  type ImageFile,
  type ProxyProcess,
  type RegistryServer,
  type RequestRecord,
  startProxy,
  startRegistryServer,
  temporaryFolder,
  waitFor,
} from '@layerlock/test-support'
import type { PullTarget } from './fault-client.ts'
import { type ClientName, type FaultRow, isPlayed, LAYER_BYTES, type Place } from './fault-row.ts'

/** One row of the table, played with one client: with an image, a repository and an upstream of its own. */
export interface FaultCase {
  readonly row: FaultRow
  readonly client: ClientName
  /** The name of its upstream at the proxy. */
  readonly upstream: string
  readonly repository: string
  readonly tag: string
  /** The request by which the content that the row is about is asked for. */
  readonly asked: { readonly method: string; readonly reference: string }
  /** That content. */
  readonly content: ImageFile
  readonly image: Image
  readonly registry: RegistryServer
  /** How many requests were given their turn in the row's faults. */
  turns: number
  /** Whether the fault is over. */
  mended: boolean
}

/** The upstreams and the proxies that all cases share. */
export interface FaultBed extends AsyncDisposable {
  readonly cases: readonly FaultCase[]
  readonly nodes: readonly FaultNode[]
  readonly registries: readonly RegistryServer[]
}

/** A proxy and its store's folder. */
export interface FaultNode {
  readonly proxy: ProxyProcess
  readonly store: string
}

export interface FaultBedOptions {
  readonly rows: readonly FaultRow[]
  readonly clients: readonly ClientName[]
  /** The names of the nodes. Default: one. */
  readonly nodes?: readonly string[]
  readonly lockServer?: string | undefined
  /** More flags for the proxies. */
  readonly proxyArgs?: readonly string[]
}

/** Docker Engine has mirrors for this one only, so that its cases share an upstream. */
const DOCKER_UPSTREAM = 'docker.io'

/** What counts as silence for the proxies. */
const PROXY_ARGS = ['--connect-timeout', '1s', '--header-timeout', '2s', '--idle-timeout', '2s', '--drain', '1s']

/** Starts two registries, one of which redirects to a storage host, and proxies that know them by a name for each case. */
export async function startFaultBed(options: FaultBedOptions): Promise<FaultBed> {
  const { rows, clients, nodes: names = ['a'], lockServer, proxyArgs = [] } = options
  await using parts = new AsyncDisposableStack()
  const { path: folder } = parts.use(await temporaryFolder('faults'))
  const direct = parts.use(await startRegistryServer({ auth: {} }))
  const redirecting = parts.use(await startRegistryServer({ auth: {}, redirectBlobsTo: '127.0.0.2' }))
  const registries = [direct, redirecting]
  const cases: FaultCase[] = []
  for (const row of rows) {
    const registry = row.at === 'storage' ? redirecting : direct
    for (const client of clients.filter((each) => isPlayed(row, each)))
      cases.push(await createCase({ row, client, registry, folder: join(folder, client) }))
  }
  for (const registry of registries) registry.fault = (request) => faultOf(cases, registry, request)
  const upstreams = Object.fromEntries(cases.map(({ upstream, registry }) => [upstream, registry.url]))
  const nodes = await Promise.all(
    names.map(async (node) => {
      const store = join(folder, node)
      const defaultUpstream = clients.includes('docker') ? DOCKER_UPSTREAM : undefined
      const args = [...PROXY_ARGS, ...proxyArgs]
      const proxy = await startProxy({ node, storeFolder: store, upstreams, defaultUpstream, lockServer, args })
      return { proxy: parts.use(proxy), store }
    }),
  )
  const running = parts.move()
  return { cases, nodes, registries, [Symbol.asyncDispose]: () => running.disposeAsync() }
}

/** What a client pulls in a case. */
export function targetOf({ upstream, repository, tag, image }: FaultCase, { proxy }: FaultNode): PullTarget {
  return { proxy: proxy.host, upstream, repository, tag, image }
}

/** Finds the case of a row and a client. */
export function caseOf({ cases }: FaultBed, row: FaultRow, client: ClientName): FaultCase {
  return cases.find((each) => each.row === row && each.client === client)!
}

/** The requests for the content of a case; for the place `storage`, those that reached that host. */
export async function requestsOf({ asked, registry, row }: FaultCase): Promise<RequestRecord[]> {
  const isOver = () => registry.requests.matching(asked).every(({ endedMs }) => endedMs !== undefined)
  await waitFor(isOver, { what: `all requests for ${asked.reference} to be answered` })
  return registry.requests.matching(asked).filter((request) => isAt(row.at, request))
}

/** The bytes of content that upstream has sent in answer to requests; what refusals say does not count. */
export function bytesOf(requests: readonly RequestRecord[]): number {
  return requests.reduce((sum, { status = 0, bytesSent }) => sum + (status < 300 ? bytesSent : 0), 0)
}

/** What a node's store has under a digest: the digest of the file, or undefined when there is none. */
export async function storedAs(digest: string, { store }: FaultNode): Promise<string | undefined> {
  const file = join(blobFolder(store), hexOf(digest))
  return existsSync(file) ? digestOfFile(file) : undefined
}

/** Throws unless all of a node's store is what its names say, and nothing is half-written. */
export async function verifyStore({ store }: FaultNode): Promise<void> {
  const halfWritten = await readdir(join(store, 'ingest'))
  if (halfWritten.length > 0) throw new Error(`half-written: ${halfWritten.join(', ')}`)
  for (const name of await readdir(blobFolder(store))) {
    const digest = await digestOfFile(join(blobFolder(store), name))
    if (digest !== `sha256:${name}`) throw new Error(`the store has ${digest} as sha256:${name}`)
  }
}

function blobFolder(store: string): string {
  return join(store, 'blobs', 'sha256')
}

interface CaseOptions {
  readonly row: FaultRow
  readonly client: ClientName
  readonly registry: RegistryServer
  readonly folder: string
}

async function createCase({ row, client, registry, folder }: CaseOptions): Promise<FaultCase> {
  const slug = `${row.at} ${row.name}`.toLowerCase().replaceAll(/[^a-z0-9]+/g, '-')
  const layer = await createLayer({ folder, sizeBytes: LAYER_BYTES, seed: `${client} ${slug}` })
  const image = await createImage({ folder: join(folder, slug), layers: [layer] })
  const repository = `${client}/app`
  // All names differ between cases, since the registries see nothing of upstreams and clients.
  const tag = `${client}-${slug}`.slice(0, 128)
  registry.contents.addImage(image, { repository, tag })
  const contents = { layer: image.layers[0]!, config: image.config, manifest: image.manifest }
  const content = contents[row.at === 'storage' ? 'layer' : row.at === 'tag' ? 'manifest' : row.at]
  return {
    row,
    client,
    upstream: client === 'docker' ? DOCKER_UPSTREAM : `${slug.slice(0, 60).replace(/-$/, '')}.${client}.test`,
    repository,
    tag,
    asked: row.at === 'tag' ? { method: 'HEAD', reference: tag } : { method: 'GET', reference: content.digest },
    content,
    image,
    registry,
    turns: 0,
    mended: false,
  }
}

function faultOf(cases: readonly FaultCase[], registry: RegistryServer, request: FaultRequest): Fault | undefined {
  const { method, reference } = request
  const found = cases.find(
    (each) => each.registry === registry && each.asked.method === method && each.asked.reference === reference,
  )
  if (found === undefined || found.mended || !isAt(found.row.at, request)) return undefined
  return found.row.always ?? found.row.faults?.[found.turns++]
}

/** Whether a request is for a place, and more than a question how to log in. */
function isAt(place: Place, request: Pick<FaultRequest, 'kind'> & { readonly authorization?: unknown }): boolean {
  return place === 'storage' ? request.kind === 'storage' : Boolean(request.authorization)
}
