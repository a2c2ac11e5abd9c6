import { MAX_WAIT_MS, parseKey, ROUTES } from '@layerlock/protocol'
import { Type } from 'typebox'
import type { LockService } from '../service/lock-service.ts'
import { type ApiApp, fastifyPath, sessionIdOf } from './api-app.ts'
import { requireOperator } from './bearer-tokens.ts'
import { acquireCommand, completeCommand, failCommand } from './commands.ts'
import { disconnectSignal } from './disconnect.ts'

const OK = { ok: true } as const
const KeyParams = Type.Object({ key: Type.String() })
/** Keys: acquire and what ends a hold, progress, copies, and the record. */
export function registerLockRoutes(app: ApiApp, service: LockService): void {
  const params = KeyParams

  app.post(
    fastifyPath(ROUTES.acquire.path),
    { schema: { params, body: ROUTES.acquire.body } },
    async (request, reply) => {
      const { ref } = service.sessions.get(sessionIdOf(request))
      const { waitMs = 0 } = request.body
      const signal = waitMs === 0 ? undefined : disconnectSignal(reply)
      return service.acquire(parseKey(request.params.key), acquireCommand(ref, request.body), { waitMs, signal })
    },
  )

  app.post(fastifyPath(ROUTES.complete.path), { schema: { params, body: ROUTES.complete.body } }, async (request) => {
    const { ref: session } = service.sessions.get(sessionIdOf(request))
    await service.execute(parseKey(request.params.key), completeCommand(session, request.body))
    return OK
  })

  app.post(fastifyPath(ROUTES.fail.path), { schema: { params, body: ROUTES.fail.body } }, async (request) => {
    const { ref: session } = service.sessions.get(sessionIdOf(request))
    await service.execute(parseKey(request.params.key), failCommand(session, request.body))
    return OK
  })

  app.post(fastifyPath(ROUTES.release.path), { schema: { params, body: ROUTES.release.body } }, async (request) => {
    const { ref: session } = service.sessions.get(sessionIdOf(request))
    await service.execute(parseKey(request.params.key), { op: 'release', session, ...request.body })
    return OK
  })

  app.post(fastifyPath(ROUTES.cancel.path), { schema: { params, body: ROUTES.cancel.body } }, async (request) => {
    const { ref: session } = service.sessions.get(sessionIdOf(request))
    await service.execute(parseKey(request.params.key), { op: 'cancel', session, ...request.body })
    return OK
  })

  app.post(fastifyPath(ROUTES.progress.path), { schema: { params, body: ROUTES.progress.body } }, async (request) => {
    const { ref } = service.sessions.get(sessionIdOf(request))
    await service.reportProgress(parseKey(request.params.key), ref, request.body)
    return OK
  })

  app.post(ROUTES.copies.path, { schema: { body: ROUTES.copies.body } }, async (request) => {
    const { ref } = service.sessions.get(sessionIdOf(request))
    const { add = [], remove = [] } = request.body
    return service.updateCopies(ref, add.map(parseKey), remove.map(parseKey))
  })

  app.get(
    fastifyPath(ROUTES.lock.path),
    { schema: { params, querystring: ROUTES.lock.query } },
    async (request, reply) => {
      const waitMs = Math.min(parseCount(request.query.waitMs) ?? 0, MAX_WAIT_MS)
      return service.show(parseKey(request.params.key), { waitMs, signal: disconnectSignal(reply) })
    },
  )

  app.delete(
    fastifyPath(ROUTES.forget.path),
    { schema: { params, querystring: ROUTES.forget.query } },
    async (request) => {
      const ifToken = parseCount(request.query.ifToken)
      if (ifToken === undefined)
        requireOperator(request, 'with ifToken, the token of the outcome, a client may call it')
      return service.execute(parseKey(request.params.key), { op: 'forget', ifToken })
    },
  )
}

/** A query string's values are text, which the schema has looked at. */
function parseCount(text: string | undefined): number | undefined {
  return text === undefined ? undefined : Number(text)
}
