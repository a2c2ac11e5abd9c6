import { Agent } from 'undici'

import { download } from './download.ts'
import { contentUrl, type Image, type ImageSource, readImage } from './image.ts'
import type { LayerBoard } from './layer-board.ts'

/** What pulls images on a node, through that node's proxy. */
export interface Puller extends AsyncDisposable {
  /**
   * Pulls an image as if this node had never seen it, and tells the board how it goes.
   *
   * @throws Error when it is not complete in the end, or any digest is wrong
   */
  pull(image: Image, board: LayerBoard, signal: AbortSignal): Promise<void>
}

/** A puller that is part of the demo: the manifest by tag, then the config and all layers at once. It keeps nothing. */
export class OciPuller implements Puller {
  readonly #node: string
  readonly #source: Pick<ImageSource, 'url' | 'namespace'>
  readonly #agent = new Agent()

  constructor(node: string, source: Pick<ImageSource, 'url' | 'namespace'>) {
    this.#node = node
    this.#source = source
  }

  async pull(expected: Image, board: LayerBoard, signal: AbortSignal): Promise<void> {
    board.begin(this.#node)
    const source = { ...this.#source, dispatcher: this.#agent, signal }
    const image = await readImage(source, expected)
    if (image.manifests[0]?.digest !== expected.manifests[0]?.digest) {
      throw new Error(`${this.#node} was told that ${image.tag} is ${image.manifests[0]?.digest}`)
    }
    await Promise.all([
      this.#download(source, image, image.config.digest),
      ...image.layers.map(({ digest }) => this.#pullLayer(source, image, digest, board)),
    ])
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#agent.destroy()
  }

  async #pullLayer(source: ImageSource, image: Image, digest: string, board: LayerBoard): Promise<void> {
    const node = this.#node
    board.asked(node, digest)
    await this.#download(source, image, digest, {
      onSource: (from) => board.answered(node, digest, from),
      onProgress: (doneBytes) => board.progress(node, digest, doneBytes),
    })
    board.ended(node, digest)
  }

  async #download(
    source: ImageSource,
    image: Image,
    digest: string,
    listeners: { onSource?: (from: string) => void; onProgress?: (doneBytes: number) => void } = {},
  ): Promise<void> {
    const { dispatcher, signal } = source
    await download({ url: contentUrl(source, image, `blobs/${digest}`), digest, ...listeners, dispatcher, signal })
  }
}
