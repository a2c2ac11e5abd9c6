import { readdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { type ContentId, contentIdOf, digestOfId, domainOfId, isDomain } from '../oci/content-id.ts'
import { digestParts, isDigest } from '../oci/digest.ts'

/** Content of upstreams that ask clients for their own credentials, by domain, apart from the OCI layout's `blobs`. */
const PRIVATE = 'private'
/** Before a domain's name, so that no name means a folder above. */
const MARK = '@'

/** The folder of a blob in a store: `blobs/<algorithm>`, or `private/@<domain>/<algorithm>`. */
export function blobFolder(store: string, id: ContentId): string {
  const domain = domainOfId(id)
  const { algorithm } = digestParts(digestOfId(id))
  // A colon is not allowed in names everywhere, and an underscore not in a domain.
  const top = domain === undefined ? ['blobs'] : [PRIVATE, MARK + domain.replace(':', '_')]
  return join(store, ...top, algorithm)
}

/** All blobs of a store, with their sizes in bytes. What has no name of a blob is passed over. */
export async function findBlobs(store: string): Promise<Map<ContentId, number>> {
  const sizes = new Map<ContentId, number>()
  await findIn(join(store, 'blobs'), undefined, sizes)
  for (const name of await foldersOf(join(store, PRIVATE))) {
    const domain = name.slice(MARK.length).replace('_', ':')
    if (name.startsWith(MARK) && isDomain(domain)) await findIn(join(store, PRIVATE, name), domain, sizes)
  }
  return sizes
}

async function findIn(folder: string, domain: string | undefined, sizes: Map<ContentId, number>): Promise<void> {
  for (const algorithm of await foldersOf(folder)) {
    const blobs = await readdir(join(folder, algorithm), { withFileTypes: true })
    for (const { name: hex } of blobs.filter((entry) => entry.isFile())) {
      const digest = `${algorithm}:${hex}`
      if (!isDigest(digest)) continue
      sizes.set(contentIdOf(digest, domain), (await stat(join(folder, algorithm, hex))).size)
    }
  }
}

async function foldersOf(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { withFileTypes: true })
  return entries.filter((entry) => entry.isDirectory()).map(({ name }) => name)
}
