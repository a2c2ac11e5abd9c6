import { type Answer, errorAnswer, fileBody, textAnswer } from './answer.ts'
import { BearerAuth, type BearerAuthOptions } from './bearer-auth.ts'
import { parseByteRange } from './byte-range.ts'
import type { ImageFile } from './image.ts'
import { type Exchange, type RecordedServer, startRecordedServer, type TrafficOptions } from './recorded-server.ts'
import { RegistryContents } from './registry-contents.ts'
import { referrersAnswer, tagsAnswer } from './registry-lists.ts'

/** How a registry behaves. */
export interface RegistryOptions extends TrafficOptions {
  /** Asks for bearer tokens. Default: open to all. */
  readonly auth?: BearerAuthOptions | undefined
  /**
   * Redirects GETs of blobs to a second listener on this address, e.g. `127.0.0.2`, with the same rate, faults and log.
   * Like S3 it answers 400 to a request with an `Authorization` header.
   */
  readonly redirectBlobsTo?: string | undefined
  /** Whether it has the referrers API of distribution-spec 1.1. Default false: it answers 404, as older ones do. */
  readonly referrers?: boolean | undefined
  /** The most referrers in one answer; a `Link` leads to the rest. Default: no limit. */
  readonly referrersPerPage?: number | undefined
}

/** A registry to pull from; images are put into it by `contents`. */
export interface RegistryServer extends RecordedServer {
  readonly contents: RegistryContents
  readonly auth: BearerAuth | undefined
  /** The second listener, if blobs are redirected to it. */
  readonly storageUrl: string | undefined
}

/**
 * Starts an OCI registry in this process. It serves manifests, blobs with ranges, tags and tokens; it cannot be pushed to.
 *
 * @example
 * await using registry = await startRegistryServer({ rateBytesPerSecond: 50e6 });
 * registry.contents.addImage(image, { repository: 'library/app', tag: 'latest' });
 * registry.requests.countOf({ kind: 'blob', method: 'GET', digest });
 */
export async function startRegistryServer(options: RegistryOptions = {}): Promise<RegistryServer> {
  const contents = new RegistryContents()
  const auth = options.auth === undefined ? undefined : new BearerAuth(options.auth)

  const server: RecordedServer = await startRecordedServer(options, async (exchange) => {
    const { request, record } = exchange
    if (record.kind === 'token' && auth !== undefined) return auth.issue(request)
    if (auth?.allows(request, record.repository) === false) return auth.challenge(server.url, record.repository)
    return serve(contents, { ...options, storageUrl: storage?.url }, exchange)
  })
  const storage =
    options.redirectBlobsTo === undefined
      ? undefined
      : await startRecordedServer(
          { ...options, host: options.redirectBlobsTo, port: 0, fault: (request) => server.fault?.(request) },
          async ({ record, range }) => {
            const blob = contents.storedBlob(record.reference ?? '')
            if (record.kind !== 'storage' || blob === undefined) return errorAnswer(404, 'BLOB_UNKNOWN')
            if (record.authorization) return errorAnswer(400, 'UNSUPPORTED')
            return serveBlob(blob, range)
          },
          server,
        )
  const registry: RegistryServer = Object.assign(server, {
    contents,
    auth,
    storageUrl: storage?.url,
    [Symbol.asyncDispose]: disposeAll(server, storage),
  })
  return registry
}

function disposeAll(server: RecordedServer, storage: RecordedServer | undefined): () => Promise<void> {
  const disposeServer = server[Symbol.asyncDispose].bind(server)
  return async () => {
    await disposeServer()
    await storage?.[Symbol.asyncDispose]()
  }
}

function serve(
  contents: RegistryContents,
  { storageUrl, referrers, referrersPerPage }: RegistryOptions & { readonly storageUrl: string | undefined },
  exchange: Exchange,
): Answer {
  const { record, range } = exchange
  const { kind, repository = '', reference = '' } = record
  switch (kind) {
    case 'ping':
      return textAnswer(200, '{}', { 'Docker-Distribution-Api-Version': 'registry/2.0' })
    case 'manifest': {
      const manifest = contents.manifest(repository, reference)
      if (manifest === undefined) return errorAnswer(404, 'MANIFEST_UNKNOWN')
      record.digest = manifest.digest
      return serveWhole(manifest)
    }
    case 'blob': {
      const blob = contents.blob(repository, reference)
      if (blob === undefined) return errorAnswer(404, 'BLOB_UNKNOWN')
      if (storageUrl === undefined || record.method === 'HEAD') return serveBlob(blob, range)
      return {
        status: 307,
        headers: { Location: `${storageUrl}/storage/${blob.digest}?signature=secret`, 'Content-Length': 0 },
      }
    }
    case 'tags':
      return tagsAnswer(contents, repository, record.url)
    case 'upload':
      return errorAnswer(405, 'UNSUPPORTED')
    case 'referrers':
      if (referrers !== true) return errorAnswer(404, 'NOT_FOUND')
      return referrersAnswer(contents, { repository, subject: reference, url: record.url, perPage: referrersPerPage })
    case 'storage':
    case 'token':
    case 'other':
      break
  }
  return errorAnswer(404, 'UNSUPPORTED')
}

function serveWhole({ path, size, digest, mediaType }: ImageFile): Answer {
  return {
    status: 200,
    headers: { 'Content-Type': mediaType, 'Content-Length': size, 'Docker-Content-Digest': digest },
    body: size === 0 ? undefined : fileBody(path, { first: 0, last: size - 1 }),
  }
}

function serveBlob(blob: ImageFile, rangeHeader: string | undefined): Answer {
  const whole = serveWhole({ ...blob, mediaType: 'application/octet-stream' })
  const headers = { ...whole.headers, 'Accept-Ranges': 'bytes', ETag: `"${blob.digest}"` }
  const range = parseByteRange(rangeHeader, blob.size)
  if (range === undefined) return { ...whole, headers }
  if (range === 'unsatisfiable') {
    return errorAnswer(416, 'SIZE_INVALID', { 'Content-Range': `bytes */${blob.size}` })
  }
  const { first, last } = range
  return {
    status: 206,
    headers: { ...headers, 'Content-Length': last - first + 1, 'Content-Range': `bytes ${first}-${last}/${blob.size}` },
    body: fileBody(blob.path, range),
  }
}
