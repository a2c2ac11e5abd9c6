import type { IncomingMessage, ServerResponse } from 'node:http'
import type { FastifyBaseLogger, FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { visitorOf } from '../access/visitor.ts'
import { parseDigest } from '../oci/digest.ts'
import { type DistributionPath, parseDistributionPath } from '../oci/distribution-path.ts'
import { OciError } from '../oci/oci-error.ts'
import type { ProxyTls } from '../proxy-options.ts'
import type { Upstreams } from '../upstream/upstreams.ts'
import type { BlobHandler } from './blob-handler.ts'
import type { ClientAuth } from './client-auth.ts'
import { createApp } from './create-app.ts'
import type { ListHandler } from './list-handler.ts'
import type { ManifestHandler } from './manifest-handler.ts'
import { sendOciError } from './oci-answers.ts'

export interface PullAppOptions {
  readonly upstreams: Upstreams
  readonly blobs: BlobHandler
  readonly manifests: ManifestHandler
  readonly lists: ListHandler
  /** Who may use the proxy. Default: all who reach it. */
  readonly auth?: ClientAuth | undefined
  /** With it the face speaks https. */
  readonly tls?: ProxyTls | undefined
  readonly logger: FastifyBaseLogger
}

/** The face towards container clients: the pulling half of the OCI distribution-spec, under `/v2/`. */
export function createPullApp(options: PullAppOptions): FastifyInstance {
  const answer = (request: FastifyRequest, reply: FastifyReply) => {
    reply.hijack()
    void handle(request.raw, reply.raw, options)
  }
  // What Fastify itself would refuse (methods, paths and media types that it does not know) has our answers too.
  const refuse = (_error: Error, request: FastifyRequest, reply: FastifyReply) => answer(request, reply)
  const app = createApp(options.logger, { frameworkErrors: refuse, tls: options.tls })
  app.setErrorHandler(refuse)
  app.setNotFoundHandler(answer)
  // Bodies are of no use to anybody here, but must be read: unread bytes turn a plain close into a reset.
  app.removeAllContentTypeParsers()
  app.addContentTypeParser('*', (_request, payload, done) => {
    payload.resume().on('error', () => undefined)
    done(null)
  })
  app.all('*', answer)
  return app
}

/** Answers one request. Never rejects. */
async function handle(request: IncomingMessage, response: ServerResponse, options: PullAppOptions): Promise<void> {
  const gone = new AbortController()
  response.once('close', () => {
    // An abort makes an error with a stack: a tenth of the cost of a manifest that nobody would need.
    if (!response.writableFinished) gone.abort()
  })
  response.setHeader('docker-distribution-api-version', 'registry/2.0')
  try {
    if (options.auth !== undefined) await options.auth.check(response)
    const url = URL.parse(request.url ?? '/', 'http://proxy')
    if (url === null) throw new OciError('NAME_INVALID', 'what is asked for is no URL')
    if (request.method !== 'GET' && request.method !== 'HEAD') {
      response.setHeader('allow', 'GET, HEAD')
      throw new OciError('UNSUPPORTED', 'this is a pull proxy: push to the registry itself')
    }
    await route(parseDistributionPath(url.pathname), url, response, { ...options, signal: gone.signal })
  } catch (error) {
    sendOciError(response, error, options.logger)
  }
}

async function route(
  path: DistributionPath,
  url: URL,
  response: ServerResponse,
  { upstreams, blobs, manifests, lists, signal }: PullAppOptions & { readonly signal: AbortSignal },
): Promise<void> {
  const ns = url.searchParams.get('ns') ?? undefined
  const { authorization } = response.req.headers
  if (path.kind === 'base') {
    const upstream = upstreams.meant(ns)
    if (upstream?.passthrough === true) await upstream.ping(visitorOf(authorization), signal)
    response.writeHead(200, { 'content-type': 'application/json', 'content-length': 2 })
    response.end(response.req.method === 'HEAD' ? undefined : '{}')
    return
  }
  const resolved = upstreams.resolve(path.name, ns)
  const target = resolved.upstream.passthrough ? { ...resolved, visitor: visitorOf(authorization) } : resolved
  if (ns !== undefined) response.setHeader('oci-namespace', ns)
  switch (path.kind) {
    case 'blobs':
      return blobs.handle(target, parseDigest(path.reference), response, signal)
    case 'manifests':
      return manifests.handle(target, path.reference, response, signal)
    case 'referrers':
      return lists.handle(target, `referrers/${parseDigest(path.reference)}`, url, response, signal)
    case 'tags':
      return lists.handle(target, 'tags/list', url, response, signal)
  }
}
