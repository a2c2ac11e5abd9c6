import { PRINTABLE } from '@layerlock/protocol'
import type { FastifyError } from 'fastify'

type Issue = NonNullable<FastifyError['validation']>[number] & {
  readonly data?: unknown
  /** Where it is a name that is not allowed, and no value. */
  readonly propertyName?: string
  /** What the keyword says, and the schema that it stands in. */
  readonly schema?: unknown
  readonly parentSchema?: { readonly description?: string }
}

/** What a pattern says, in words, by the name of the field. */
const PATTERNS_IN_WORDS: Readonly<Record<string, string>> = {
  ifToken: 'must be a fencing token, a whole number from 1 on',
  waitMs: 'must be a whole number of milliseconds',
  limit: 'must be a whole number from 1 to 1,000',
  ticket: 'must be printable ASCII characters without spaces',
  endpoint: 'must be an http or https URL',
}

/** Names the field, its value, and what is allowed. @param context what was validated, where no field is to blame */
export function describeValidation(validation: FastifyError['validation'] | null, context = 'body'): string {
  // That a name is not allowed is told twice: what is wrong with it, and then that it "must be valid".
  const issues: readonly Issue[] = (validation ?? []).filter(({ keyword }) => keyword !== 'propertyNames')
  // Of a choice, the validator tells first what is wrong with each of the forms that there are to choose from.
  const choices = issues.filter(({ keyword }) => keyword === 'anyOf').map(({ schemaPath }) => `${schemaPath}/`)
  const told = issues.filter(({ schemaPath }) => !choices.some((choice) => schemaPath.startsWith(choice)))
  return told.map((issue) => describeIssue(issue, context)).join('; ')
}

function describeIssue(issue: Issue, context: string): string {
  const name = issue.propertyName === undefined ? '' : ', a name'
  const path = issue.instancePath.slice(1).replaceAll('/', '.') + name
  const extra = issue.params['additionalProperty']
  if (typeof extra === 'string') return `${[path, extra].filter(Boolean).join('.')}: is not a known field`
  const { data } = issue
  const shown = data === undefined || typeof data === 'object' ? '' : `${JSON.stringify(data).slice(0, 100)} `
  return `${path || context}: ${shown}${demandOf(issue, path)}`
}

/** What the field would have to be like. */
function demandOf({ keyword, schema, parentSchema, message = 'is not allowed' }: Issue, path: string): string {
  if (keyword === 'pattern' && schema === PRINTABLE) return 'must not contain control characters or lone surrogates'
  if (keyword === 'pattern') {
    const words = PATTERNS_IN_WORDS[path.split('.').at(-1)!] ?? parentSchema?.description
    return words ?? 'has characters that are not allowed'
  }
  if (keyword !== 'anyOf' || !Array.isArray(schema)) return message
  const allowed = schema.map((form: { readonly const?: unknown }) => form.const)
  return allowed.includes(undefined) ? 'has none of the allowed forms' : `must be one of ${allowed.join(', ')}`
}
