import type { ServerOptions } from 'node:http'
import type { Socket } from 'node:net'
import { ProtocolError, SESSION_HEADER } from '@layerlock/protocol'
import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox'
import {
  type ConnectionError,
  fastify,
  type FastifyBaseLogger,
  type FastifyInstance,
  type FastifyRequest,
  LogController,
} from 'fastify'
import { Connections } from './connections.ts'
import { answerClientError, answerFrameworkError } from './error-answers.ts'
import { secureOptions, type TlsIdentity } from './tls-identity.ts'

export interface ApiAppOptions {
  readonly logger?: FastifyBaseLogger | undefined
  /** The largest request body in bytes. Default 1 MiB. */
  readonly maxBodyBytes?: number | undefined
  /** How long a request may take to arrive, in milliseconds; how long its answer takes is another matter. Default 30 s. */
  readonly requestTimeoutMs?: number | undefined
  /** How long a client may leave an answer untaken, in milliseconds, before its connection is cut. Default 30 s. */
  readonly unreadMs?: number | undefined
  /** With it the app speaks https. */
  readonly tls?: TlsIdentity | undefined
}

const DEFAULT_MAX_BODY_BYTES = 1024 * 1024
const DEFAULT_REQUEST_TIMEOUT_MS = 30_000
const DEFAULT_UNREAD_MS = 30_000
/** How often Node looks for requests that take too long to arrive, at the most. */
const CHECKING_INTERVAL_MS = 5_000
/** Longer than what clients and load balancers keep a connection open for, so that it is never us who close first. */
const KEEP_ALIVE_MS = 75_000
/** A key has at most 512 bytes, each three characters when percent-encoded. */
const MAX_PARAM_LENGTH = 3 * 512 + 1

/** An empty Fastify app that validates strictly: nothing is coerced, dropped or filled in. */
export function createApiApp(options: ApiAppOptions) {
  const { logger, tls, maxBodyBytes = DEFAULT_MAX_BODY_BYTES, requestTimeoutMs = DEFAULT_REQUEST_TIMEOUT_MS } = options
  const connections = new Connections(options.unreadMs ?? DEFAULT_UNREAD_MS)
  const common = {
    ...(logger === undefined ? { logger: false } : { loggerInstance: logger }),
    // Calls are not logged, so a logger for each of them would be made for nothing.
    childLoggerFactory: (parent: FastifyBaseLogger) => parent,
    logController: new LogController({ disableRequestLogging: true }),
    bodyLimit: maxBodyBytes,
    requestTimeout: requestTimeoutMs,
    frameworkErrors: answerFrameworkError,
    clientErrorHandler: (error: ConnectionError, socket: Socket) =>
      answerClientError(error, socket, connections.isAnswered(socket)),
    keepAliveTimeout: KEEP_ALIVE_MS,
    // Calls on connections that are still open while the server stops are served: nobody is better off otherwise.
    return503OnClosing: false,
    routerOptions: { maxParamLength: MAX_PARAM_LENGTH },
    rewriteUrl: (request: { method?: string | undefined; url?: string | undefined }) =>
      encodeKey(request.method, request.url ?? '/'),
    ajv: { customOptions: { coerceTypes: false, removeAdditional: false, useDefaults: false, verbose: true } },
  }
  const slowness: ServerOptions = {
    headersTimeout: requestTimeoutMs,
    connectionsCheckingInterval: Math.min(CHECKING_INTERVAL_MS, requestTimeoutMs),
  }
  const app: FastifyInstance =
    tls === undefined
      ? fastify({ ...common, http: slowness })
      : // What an https server has and an http server has not is used in one place only, which looks for itself.
        fastify({ ...common, https: { ...slowness, ...secureOptions(tls) } })
  connections.watch(app.server)
  app.addHook('onClose', (_app, done) => {
    connections[Symbol.dispose]()
    done()
  })
  return app.withTypeProvider<TypeBoxTypeProvider>()
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
