import Fastify, {
  type FastifyBaseLogger,
  type FastifyInstance,
  type FastifyServerOptions,
  LogController,
} from 'fastify'

/** containerd keeps idle connections for 30 s; ours must live longer, or its requests race with our closing them. */
const KEEP_ALIVE_MS = 65_000

/** A Fastify app as all faces of the proxy use it: no line for each request, and answers that may take any time. */
export function createApp(
  logger: FastifyBaseLogger,
  options: Pick<FastifyServerOptions, 'frameworkErrors'> = {},
): FastifyInstance {
  return Fastify({
    ...options,
    loggerInstance: logger.child({}, { level: 'warn' }),
    logController: new LogController({ disableRequestLogging: true }),
    keepAliveTimeout: KEEP_ALIVE_MS,
    // A pull may be as slow as its client; connections that never say anything are cut by the header timeout.
    requestTimeout: 0,
    exposeHeadRoutes: false,
    // A digest in a path is longer than Fastify expects of a parameter.
    routerOptions: { maxParamLength: 200 },
  })
}
