import type { ApiApp } from './api-app.ts'
import { openapiDocument } from './openapi.ts'

/** `GET /openapi.json`: what there is to call. */
export function registerOpenapiRoutes(app: ApiApp): void {
  let text: string | undefined
  app.get('/openapi.json', (_request, reply) => {
    // The same for everybody, and seldom asked for: made when it is for the first time.
    text ??= JSON.stringify(openapiDocument())
    return reply.type('application/json').send(text)
  })
}
