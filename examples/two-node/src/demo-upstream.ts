import { type ProxyStatus, type RequestRecord, startRegistryServer } from '@layerlock/test-support'
import { Agent } from 'undici'

import { type DemoImage, makeDemoImages, registryRate } from './demo-images.ts'
import { type Image, readImage } from './image.ts'
import type { RealUpstream } from './options.ts'
import { formatBytes } from './quantity.ts'

/** What a registry was asked for so far. */
export interface Traffic {
  /** Of manifests, configs and layers. */
  readonly bytes: number
  readonly requests: number
}

/** One answer to a request for a layer. */
export type LayerRequest = Pick<RequestRecord, 'range' | 'bytesSent'>

/** A registry from which the nodes pull. */
export interface DemoUpstream extends AsyncDisposable {
  /** As it stands in image references. */
  readonly host: string
  readonly url: string
  /** What it is, for humans. */
  readonly description: string
  /** What the nodes pull when one of them is killed. Undefined for a real registry, of which no such image is known. */
  readonly largeImage: Image | undefined
  /** How the traffic is counted, for humans. */
  readonly countedBy: string
  /** What the nodes pull together; a real registry has to be asked, through a proxy. */
  readImage(proxyUrl: string, signal: AbortSignal): Promise<Image>
  /** Everything that it has sent so far. The proxies' statuses are asked for if it cannot tell itself. */
  traffic(proxyStatuses: () => Promise<readonly ProxyStatus[]>): Promise<Traffic>
  /** Each request for a layer. Undefined when it cannot be known. */
  layerRequests(digest: string): readonly LayerRequest[] | undefined
}

/** Starts a slow registry in this process, and puts images into it. It counts what it sends itself. */
export async function startDemoUpstream(folder: string): Promise<DemoUpstream> {
  const images = await makeDemoImages(folder)
  const registry = await startRegistryServer({ rateBytesPerSecond: registryRate })
  for (const { files, reference } of [images.app, images.large]) registry.contents.addImage(files, reference)
  return {
    host: registry.host,
    url: registry.url,
    description: `the demo's own; at ${formatBytes(registryRate)}/s in all the layers take 3, 2, 4 and 2 s`,
    largeImage: imageOf(images.large),
    countedBy: 'the registry itself',
    readImage: () => Promise.resolve(imageOf(images.app)),
    async traffic() {
      await registry.requests.settled()
      return { bytes: registry.requests.bytesOf(), requests: registry.requests.all.length }
    },
    layerRequests: (digest) => registry.requests.matching({ method: 'GET', kind: 'blob', digest }),
    [Symbol.asyncDispose]: () => registry[Symbol.asyncDispose](),
  }
}

/** A registry that exists. What it sends is known only from the proxies. */
export function realUpstream({ url, image }: RealUpstream): DemoUpstream {
  return {
    host: url.host,
    url: url.href.replace(/\/$/, ''),
    description: url.href,
    largeImage: undefined,
    countedBy: 'the proxies',
    async readImage(proxyUrl, signal) {
      const dispatcher = new Agent()
      try {
        return await readImage({ url: proxyUrl, namespace: url.host, dispatcher, signal }, image)
      } finally {
        await dispatcher.destroy()
      }
    },
    async traffic(proxyStatuses) {
      const statuses = await proxyStatuses()
      const requests = statuses.flatMap(({ upstreamRequests }) => Object.values(upstreamRequests))
      return { bytes: sum(statuses.map(({ bytes }) => bytes.upstream)), requests: sum(requests) }
    },
    layerRequests: () => undefined,
    [Symbol.asyncDispose]: () => Promise.resolve(),
  }
}

function imageOf({ files, reference }: DemoImage): Image {
  return { ...reference, manifests: files.manifests, config: files.config, layers: files.layers }
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, each) => total + each, 0)
}
