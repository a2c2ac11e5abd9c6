import { ProtocolError } from '@layerlock/protocol'
import type { ApiApp } from './api-app.ts'

/** The most arrays and objects within each other in a body. What walks through one later does so by calling itself. */
const MAX_DEPTH = 100

/** Takes JSON, and nothing else, as bodies; an empty one is none, whatever its type. All routes: no body may be too deep. */
export function registerJsonBodies(app: ApiApp): void {
  const parse = app.getDefaultJsonParser('error', 'error')
  app.removeAllContentTypeParsers()
  app.addContentTypeParser('application/json', { parseAs: 'string' }, (request, body, done) => {
    if (body === '') done(null)
    else void parse(request, String(body), done)
  })
  app.addHook('preValidation', (request, _reply, done) => {
    if (!isDeep(request.body)) return done()
    done(new ProtocolError('invalid_request', `body: has more than ${MAX_DEPTH} arrays or objects within each other`))
  })
}

/** Goes from level to level, for one that called itself would be the first to fail. */
function isDeep(body: unknown): boolean {
  let level = containersIn([body])
  for (let depth = 1; level.length > 0; depth++) {
    if (depth > MAX_DEPTH) return true
    level = level.flatMap((container) => containersIn(Object.values(container)))
  }
  return false
}

function containersIn(values: readonly unknown[]): object[] {
  return values.filter((value) => typeof value === 'object' && value !== null)
}
