import { createHash } from 'node:crypto'

import { type Dispatcher, request } from 'undici'

/** What is to come, and what it must be. */
export interface Download {
  readonly url: string
  readonly headers?: Readonly<Record<string, string>>
  /** Default: whatever the answer's `Docker-Content-Digest` says. */
  readonly digest?: string
  /** Told once there are headers: the `X-Layerlock-Source` among them. */
  readonly onSource?: (source: string) => void
  /** Told of all bytes so far, at each piece. */
  readonly onProgress?: (doneBytes: number) => void
  /** Given each piece. */
  readonly onBytes?: (bytes: Uint8Array) => void
  readonly dispatcher: Dispatcher
  readonly signal: AbortSignal
}

/** What came. */
export interface Downloaded {
  readonly digest: string
  readonly size: number
}

/** Downloads something and compares its digest. @throws Error when it cannot be had, or is not what it should be */
export async function download(options: Download): Promise<Downloaded> {
  const { url, headers = {}, dispatcher, signal } = options
  const response = await request(url, { dispatcher, headers: { ...headers }, signal })
  if (response.statusCode !== 200) {
    const text = await response.body.text()
    throw new Error(`GET ${url} was answered with ${response.statusCode}: ${text.slice(0, 500)}`)
  }
  options.onSource?.(String(response.headers['x-layerlock-source']))
  const hash = createHash('sha256')
  let size = 0
  for await (const bytes of response.body as AsyncIterable<Buffer>) {
    hash.update(bytes)
    size += bytes.length
    options.onBytes?.(bytes)
    options.onProgress?.(size)
  }
  const digest = `sha256:${hash.digest('hex')}`
  const expected = options.digest ?? response.headers['docker-content-digest']
  if (digest !== expected) throw new Error(`GET ${url} sent ${digest} instead of ${String(expected)}`)
  return { digest, size }
}
