import { type Agent, type IncomingHttpHeaders, request } from 'node:http'
import { join } from 'node:path'
import { buffer } from 'node:stream/consumers'
import {
  createImage,
  createLayer,
  type Image,
  type ProxyProcess,
  type RegistryOptions,
  type RegistryServer,
  startProxy,
  startRegistryServer,
  temporaryFolder,
  waitFor,
} from '@layerlock/test-support'

/** An answer with everything that a requirement can speak of. */
export interface SpecAnswer {
  readonly status: number
  readonly headers: IncomingHttpHeaders
  readonly body: Buffer
}

export interface AskOptions {
  readonly method?: string
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: Buffer
}

/** An image that nobody has pulled yet, in a repository of its own, with the tag `latest`. */
export interface FreshImage {
  readonly image: Image
  readonly repository: string
  /** `/v2/<name>`. */
  readonly path: string
}

/** A registry that counts, and a real proxy in front of it, which knows it as `docker.io`, its default upstream. */
export interface ProxiedRegistry extends AsyncDisposable {
  readonly registry: RegistryServer
  readonly proxy: ProxyProcess
  /** Sends one request as it is; nothing is followed. */
  ask(path: string, options?: AskOptions): Promise<SpecAnswer>
  freshImage(): Promise<FreshImage>
  /** Resolves when nothing is being fetched any more, so that what was fetched is in the store. */
  landed(): Promise<void>
  /** What upstream was asked since the last call, as `GET blob`. */
  asked(): Promise<string[]>
}

export async function startProxiedRegistry({
  args = [],
  ...options
}: RegistryOptions & { readonly args?: readonly string[] } = {}): Promise<ProxiedRegistry> {
  await using parts = new AsyncDisposableStack()
  const { path: folder } = parts.use(await temporaryFolder('distribution-spec'))
  const registry = parts.use(await startRegistryServer(options))
  const proxy = parts.use(
    await startProxy({
      node: 'a',
      storeFolder: join(folder, 'store'),
      upstreams: { 'docker.io': registry.url },
      defaultUpstream: 'docker.io',
      args: ['--tag-ttl', '10m', '--drain', '1s', ...args],
    }),
  )
  let images = 0
  const landed = async () => {
    await waitFor(async () => (await proxy.status()).inflight.length === 0, { what: 'all fetches to end' })
  }
  const running = parts.move()
  return {
    registry,
    proxy,
    ask: (path, askOptions) => ask(proxy.url, path, askOptions),
    landed,
    async freshImage() {
      const seed = `image-${images++}`
      const layer = await createLayer({ folder, sizeBytes: 200 * 1024, seed })
      const image = await createImage({ folder: join(folder, seed), layers: [layer], multiPlatform: true })
      const repository = `library/${seed}`
      registry.contents.addImage(image, { repository, tag: 'latest' })
      return { image, repository, path: `/v2/${repository}` }
    },
    async asked() {
      await landed()
      await registry.requests.settled()
      const seen = registry.requests.all.map(({ method, kind }) => `${method} ${kind}`)
      registry.requests.clear()
      return seen
    },
    [Symbol.asyncDispose]: () => running.disposeAsync(),
  }
}

/** One request, over a connection of its own unless an agent is given. */
export function ask(
  url: string,
  path: string,
  { method = 'GET', headers = {}, body, agent = false }: AskOptions & { readonly agent?: Agent | false } = {},
): Promise<SpecAnswer> {
  const { hostname, port } = new URL(url)
  return new Promise((resolve, reject) => {
    const sent = request({ hostname, port, path, method, headers, agent }, (response) => {
      buffer(response).then(
        (whole) => resolve({ status: response.statusCode ?? 0, headers: response.headers, body: whole }),
        reject,
      )
    })
    sent.on('error', reject)
    sent.end(body)
  })
}

/** The codes in the error envelope of the spec; what is not an envelope throws. */
export function errorCodes({ body }: SpecAnswer): string[] {
  const { errors } = JSON.parse(String(body)) as { errors: { code: string; message?: string }[] }
  return errors.map(({ code }) => code)
}
