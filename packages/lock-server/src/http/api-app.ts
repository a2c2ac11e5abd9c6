import { ProtocolError, SESSION_HEADER } from '@layerlock/protocol'
import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox'
import Fastify, { type FastifyBaseLogger, type FastifyRequest, LogController } from 'fastify'
import { answerFrameworkError } from './error-answers.ts'

export interface ApiAppOptions {
  readonly logger?: FastifyBaseLogger | undefined
  /** The largest request body in bytes. Default 1 MiB. */
  readonly maxBodyBytes?: number | undefined
}

/** Longer than what clients and load balancers keep a connection open for, so that it is never us who close first. */
const KEEP_ALIVE_MS = 75_000
/** A key has at most 512 bytes, each three characters when percent-encoded. */
const MAX_PARAM_LENGTH = 3 * 512 + 1

/** An empty Fastify app that validates strictly: nothing is coerced, dropped or filled in. */
export function createApiApp({ logger, maxBodyBytes = 1024 * 1024 }: ApiAppOptions) {
  return Fastify({
    ...(logger === undefined ? { logger: false } : { loggerInstance: logger }),
    logController: new LogController({ disableRequestLogging: true }),
    bodyLimit: maxBodyBytes,
    frameworkErrors: answerFrameworkError,
    keepAliveTimeout: KEEP_ALIVE_MS,
    forceCloseConnections: true,
    routerOptions: { maxParamLength: MAX_PARAM_LENGTH },
    rewriteUrl: (request) => encodeKey(request.method, request.url ?? '/'),
    ajv: { customOptions: { coerceTypes: false, removeAdditional: false, useDefaults: false, verbose: true } },
  }).withTypeProvider<TypeBoxTypeProvider>()
}

export type ApiApp = ReturnType<typeof createApiApp>

/**
 * Lets people write `/v1/locks/reports/2026/acquire`: the slashes of a key that came unencoded are encoded. Which part
 * is the key is never in doubt, for what follows it is one known word, by the method.
 */
function encodeKey(method: string | undefined, url: string): string {
  const [, prefix, path, query = ''] = /^(\/v1\/locks\/)([^?]*)(\?.*)?$/.exec(url) ?? []
  if (prefix === undefined || path === undefined) return url
  const cut =
    method === 'POST' || (method === 'DELETE' && path.endsWith('/outcome')) ? path.lastIndexOf('/') : path.length
  if (cut < 0) return url
  return prefix + path.slice(0, cut).replaceAll('/', '%2F') + path.slice(cut) + query
}

/** The session id that the call names. @throws {ProtocolError} `invalid_request` when there is none */
export function sessionIdOf(request: FastifyRequest): string {
  const id = request.headers[SESSION_HEADER]
  if (typeof id === 'string' && id !== '') return id
  throw new ProtocolError('invalid_request', 'Layerlock-Session: the header must name the session')
}

/** A route's path in Fastify's form. */
export function fastifyPath(path: string): string {
  return path.replace('{key}', ':key')
}
