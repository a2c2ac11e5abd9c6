import Fastify, {
  type FastifyBaseLogger,
  type FastifyInstance,
  type FastifyServerOptions,
  LogController,
} from 'fastify'
import type { ProxyTls } from '../proxy-options.ts'
import { serverTls } from './server-tls.ts'

/** containerd keeps idle connections for 30 s; ours must live longer, or its requests race with our closing them. */
const KEEP_ALIVE_MS = 65_000

export interface CreateAppOptions extends Pick<FastifyServerOptions, 'frameworkErrors'> {
  /** With it the app speaks https. */
  readonly tls?: ProxyTls | undefined
}

/**
 * A Fastify app as all faces of the proxy use it: no line for each request, and answers that may take any time.
 *
 * @throws when certificate and key do not belong together
 */
export function createApp(logger: FastifyBaseLogger, { tls, ...options }: CreateAppOptions = {}): FastifyInstance {
  const common = {
    ...options,
    loggerInstance: logger.child({}, { level: 'warn' }),
    logController: new LogController({ disableRequestLogging: true }),
    keepAliveTimeout: KEEP_ALIVE_MS,
    // A pull may be as slow as its client; connections that never say anything are cut by the header timeout.
    requestTimeout: 0,
    exposeHeadRoutes: false,
    // A digest in a path is longer than Fastify expects of a parameter.
    routerOptions: { maxParamLength: 200 },
  }
  if (tls === undefined) return Fastify(common)
  // What an https server has and an http server has not is used in one place only, which looks for itself.
  return Fastify({ ...common, https: serverTls(tls) })
}
