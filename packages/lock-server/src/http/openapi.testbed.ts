import type { OpenAPIV3_1 as Api } from 'openapi-types'
import Ajv2020 from 'ajv/dist/2020.js'

/** What came, to be compared with what the document promises. */
export interface Came {
  readonly status: number
  readonly contentType: string | null
  readonly body: unknown
}

const DOCUMENT_ID = 'https://layerlock.test/openapi.json'

/** An OpenAPI document as its readers take it: as a promise. */
export class Contract {
  readonly document: Api.Document
  readonly #ajv = new Ajv2020.default({ strict: false, allErrors: true })

  constructor(document: Api.Document) {
    this.document = document
    this.#ajv.addSchema(document, DOCUMENT_ID)
  }

  /** All operations, such as `GET /v1/nodes`. */
  get operations(): string[] {
    return Object.entries(this.document.paths ?? {}).flatMap(([path, item]) =>
      Object.keys(item ?? {}).map((method) => `${method.toUpperCase()} ${path}`),
    )
  }

  /** What is wrong with an answer; nothing is as it should be. */
  complaints(method: string, path: string, { status, contentType, body }: Came): string[] {
    const operation = this.document.paths?.[path]?.[method.toLowerCase() as 'get']
    const response = operation?.responses?.[status] as Api.ResponseObject | undefined
    if (response === undefined) return [`${method} ${path} does not promise a ${status}`]
    const [mediaType] = (contentType ?? '').split(';')
    const types = Object.keys(response.content ?? {})
    if (types.length === 0) return body === '' ? [] : [`${method} ${path} ${status} promises no body`]
    if (!types.includes(mediaType!)) return [`${method} ${path} ${status} promises ${types.join()}, not ${mediaType}`]
    const steps = ['paths', path, method.toLowerCase(), 'responses', String(status), 'content', mediaType!, 'schema']
    return this.#check(steps, body)
  }

  /** What is wrong with the body of a refusal that belongs to no operation. */
  refusalComplaints(body: unknown): string[] {
    return this.#check(['components', 'schemas', 'Error'], body)
  }

  #check(steps: readonly string[], body: unknown): string[] {
    const pointer = steps.map((step) => `/${encodeURIComponent(step.replaceAll('~', '~0').replaceAll('/', '~1'))}`)
    const validate = this.#ajv.compile({ $ref: `${DOCUMENT_ID}#${pointer.join('')}` })
    if (validate(body)) return []
    return [`${steps.join(' ')}: ${this.#ajv.errorsText(validate.errors)} in ${JSON.stringify(body)}`]
  }
}
