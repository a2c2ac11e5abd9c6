import { ERROR_CODES, type ErrorCode, ErrorBody, ROUTES, type Route, SESSION_HEADER } from '@layerlock/protocol'
import type { OpenAPIV3_1 as Api } from 'openapi-types'
import { type TSchema, Type } from 'typebox'

/** What a call may always refuse, whatever it is. */
const COMMON_REFUSALS: readonly ErrorCode[] = ['invalid_request', 'unauthorized', 'overloaded']

const Status = Type.Object({ status: Type.String() })
const JSON_TYPE = 'application/json'
const json = (schema: TSchema) => ({ [JSON_TYPE]: { schema: schema as Api.SchemaObject } })

const description = `A lock server: one of many does the work, all others learn what came of it.

Durations are in milliseconds. Numbers in queries are text, as everywhere. Programs decide by the \`code\` of an error.`

/** The whole HTTP API as an OpenAPI 3.1 document, made from the same rows as the server itself. */
export function openapiDocument(): Api.Document {
  const schemas: Record<string, Api.SchemaObject> = { Error: ErrorBody }
  const paths: Record<string, Record<string, Api.OperationObject>> = { ...MONITORING_PATHS }
  for (const [name, route] of Object.entries<Route>(ROUTES)) {
    const title = name.charAt(0).toUpperCase() + name.slice(1)
    const named = (suffix: string, schema: TSchema | undefined) => {
      if (schema === undefined) return undefined
      schemas[title + suffix] = schema as Api.SchemaObject
      return Type.Ref(`#/components/schemas/${title}${suffix}`)
    }
    const body = named('Request', route.body)
    const answer = named('Answer', route.answer)
    const methods = (paths[route.path] ??= {})
    methods[route.method.toLowerCase()] = operation(name, route, body, answer)
  }
  return {
    openapi: '3.1.0',
    info: {
      title: 'layerlock lock server',
      version: '1',
      description,
      license: { name: 'Apache-2.0', identifier: 'Apache-2.0' },
    },
    servers: [{ url: '/' }],
    // Either: a server without tokens asks for none.
    security: [{ bearer: [] }, {}],
    tags: ['sessions', 'locks', 'copies', 'events', 'monitoring'].map((name) => ({ name })),
    paths,
    components: { securitySchemes: { bearer: { type: 'http', scheme: 'bearer' } }, schemas },
  }
}

function operation(name: string, route: Route, body?: TSchema, answer?: TSchema): Api.OperationObject {
  const { summary, status, mediaType } = route
  const content =
    mediaType === undefined ? answer && json(answer) : { [mediaType]: { schema: { type: 'string' as const } } }
  return {
    operationId: name,
    tags: [tagOf(route)],
    summary,
    parameters: parametersOf(route),
    ...(body === undefined ? {} : { requestBody: { required: true, content: json(body) } }),
    responses: {
      [status]: {
        description: status === 204 ? 'Done.' : 'The answer.',
        ...(content === undefined ? {} : { content }),
      },
      ...refusals(refusalsOf(route)),
    },
  }
}

function tagOf({ path }: Route): string {
  const [, , noun] = path.split('/')
  return noun === 'nodes' ? 'sessions' : noun === 'batch' ? 'locks' : noun!
}

function parametersOf({ path, query, session, mediaType }: Route): Api.ParameterObject[] {
  const text = { type: 'string' } as const
  const parameters: Api.ParameterObject[] = []
  if (path.includes('{key}')) {
    parameters.push({
      name: 'key',
      in: 'path',
      required: true,
      description: '1 to 512 bytes, percent-encoded.',
      schema: text,
    })
  }
  if (session === true) {
    parameters.push({
      name: SESSION_HEADER,
      in: 'header',
      required: true,
      description: 'The id of the session.',
      schema: text,
    })
  }
  if (mediaType === 'text/event-stream') {
    parameters.push({ name: 'last-event-id', in: 'header', description: 'Where to resume.', schema: text })
  }
  for (const [name, schema] of Object.entries(query?.properties ?? {})) {
    parameters.push({
      name,
      in: 'query',
      required: query?.required?.includes(name) ?? false,
      schema,
    })
  }
  return parameters
}

function refusalsOf({ path, body, session, refusals: own = [] }: Route): ErrorCode[] {
  const sized: readonly ErrorCode[] = body !== undefined || path.includes('{key}') ? ['too_large'] : []
  const ofSession: readonly ErrorCode[] = session === true ? ['session_expired'] : []
  return [...COMMON_REFUSALS, ...sized, ...ofSession, ...own]
}

/** One answer for each status; codes that share one share it. */
function refusals(codes: readonly ErrorCode[]): Record<string, Api.ResponseObject> {
  const byStatus = Map.groupBy(codes, (code) => ERROR_CODES[code].status)
  return Object.fromEntries(
    [...byStatus].map(([status, some]) => {
      const error = Type.Object({ code: Type.Union(some.map((code) => Type.Literal(code))) })
      const schema = Type.Intersect([Type.Ref('#/components/schemas/Error'), Type.Object({ error })])
      const headers = status === ERROR_CODES.overloaded.status ? { headers: RETRY_AFTER } : {}
      const meaning = some.map((code) => `\`${code}\`: ${ERROR_CODES[code].meaning}`).join(' ')
      return [status, { description: meaning, ...headers, content: json(schema) }]
    }),
  )
}

const RETRY_AFTER = {
  'retry-after': { description: 'In seconds.', schema: { type: 'string', pattern: '^[0-9]+$' } as const },
}

/** What is there for those who run a server, and is no part of the protocol. */
const MONITORING_PATHS: Record<string, Record<string, Api.OperationObject>> = {
  '/healthz': open('health', 'Answers while the process lives.', { 200: ['It lives.', json(Status)] }),
  '/readyz': open('readiness', 'Answers whether it takes work.', {
    200: ['It does.', json(Status)],
    503: ['It stops, or its store has failed for good.', json(Status)],
  }),
  '/openapi.json': open('openapi', 'This document.', {
    200: ['OpenAPI 3.1.', json(Type.Object({ openapi: Type.String() }))],
  }),
  '/metrics': {
    get: {
      operationId: 'metrics',
      tags: ['monitoring'],
      summary: "Metrics in Prometheus' text form.",
      responses: {
        200: { description: 'The metrics.', content: { 'text/plain': { schema: { type: 'string' } } } },
        ...refusals(COMMON_REFUSALS),
      },
    },
  },
}

function open(
  operationId: string,
  summary: string,
  answers: Record<string, [string, Api.ResponseObject['content']]>,
): Record<string, Api.OperationObject> {
  const responses = Object.entries(answers).map(([status, [meaning, content = {}]]) => [
    status,
    { description: meaning, content },
  ])
  const get = { operationId, tags: ['monitoring'], summary, security: [], responses: Object.fromEntries(responses) }
  return { get }
}
