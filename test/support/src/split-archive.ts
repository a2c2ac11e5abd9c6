import { once } from 'node:events'
import type { Readable } from 'node:stream'

import { extract, type Header, type Pack, pack } from 'tar-stream'

import { type Layer, writeLayer } from './layer.ts'

/** How to split. */
export interface SplitArchiveOptions {
  /** For the layers. */
  readonly folder: string
  /** Content after which a new layer begins. */
  readonly partBytes: number
}

const devices = new Set<Header['type']>(['character-device', 'block-device', 'fifo'])

/**
 * Splits a tar archive of a root filesystem into gzip layers. The order stays, so a hard link finds its target in its
 * own layer or one below. Devices are left out: whoever runs a container brings them, and making them needs privileges.
 */
export async function splitArchive(archive: Readable, { folder, partBytes }: SplitArchiveOptions): Promise<Layer[]> {
  const layers: Promise<Layer>[] = []
  const begin = (): Pack => {
    const part = pack()
    layers.push(writeLayer(part, { folder, gzip: true }))
    return part
  }
  const entries = archive.pipe(extract())
  archive.once('error', (error) => entries.destroy(error))
  let part = begin()
  let bytes = 0
  for await (const entry of entries) {
    const { header } = entry
    if (devices.has(header.type)) {
      entry.resume()
      continue
    }
    if (bytes >= partBytes) {
      part.finalize()
      part = begin()
      bytes = 0
    }
    bytes += header.size
    await copyEntry(header, entry as AsyncIterable<Uint8Array>, part)
  }
  part.finalize()
  return Promise.all(layers)
}

async function copyEntry(header: Header, content: AsyncIterable<Uint8Array>, part: Pack): Promise<void> {
  const written = Promise.withResolvers<void>()
  const target = part.entry(header, (error) => (error ? written.reject(error) : written.resolve()))
  for await (const chunk of content) {
    if (!target.write(chunk)) await once(target, 'drain')
  }
  target.end(undefined)
  await written.promise
}
