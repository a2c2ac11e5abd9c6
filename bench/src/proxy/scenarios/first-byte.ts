import { createLayer } from '@layerlock/test-support'
import { median } from '../../lock/statistics.ts'
import { blobUrl, REPOSITORY, type Setting, startContender } from '../setting.ts'

/** Larger than the bytes that layerlock holds back until it knows the digest. */
const BLOB_BYTES = 512 * 1024

export const FIRST_BYTE_VARIANT = 'cold blob'

/** How long the first byte of a cold blob takes, each contender with blobs that nobody asked for before. */
export async function measureFirstByte(setting: Setting): Promise<void> {
  const { contenders, options, upstream, load, results, onProgress } = setting
  const { rounds, coldBlobs } = options.extent
  await using parts = new AsyncDisposableStack()
  for (const contender of contenders.filter((each) => each.scenarios.includes('first-byte'))) {
    const { urls } = await startContender(setting, contender, parts)
    for (let round = 0; round <= rounds; round++) {
      onProgress(`first byte, round ${round} of ${rounds}: ${contender.label}`)
      const asked: string[] = []
      for (let index = 0; index < coldBlobs; index++) {
        const seed = `${contender.name}-${round}-${index}`
        const blob = await createLayer({ folder: setting.folder, sizeBytes: BLOB_BYTES, seed })
        upstream.contents.addBlob(REPOSITORY, { ...blob, mediaType: 'application/octet-stream' })
        asked.push(blobUrl(urls[0]!, blob.digest))
      }
      try {
        const { samplesMs } = await load.run({ kind: 'first-bytes', urls: asked })
        if (round > 0) results.add('first-byte', FIRST_BYTE_VARIANT, contender.name, { p50Ms: median(samplesMs!) })
      } catch (error) {
        results.fail('first-byte', FIRST_BYTE_VARIANT, contender.name, String(error))
        break
      }
      await upstream.requests.settled()
    }
  }
}
