import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { ERROR_CODES } from '@layerlock/protocol'
import { expect, test } from 'vitest'

test('docs/errors.md has the table of error codes as the protocol has it, both ways', () => {
  const text = readFileSync(join(import.meta.dirname, '..', '..', 'docs', 'errors.md'), 'utf8')
  const rows = [...text.matchAll(/^\| `([a-z_]+)` +\| (\d{3}) +\| (yes|no) +\| (.*?) +\|$/gm)].map(
    ([, code, status, retry, meaning]) =>
      [code, { status: Number(status), retryable: retry === 'yes', meaning }] as const,
  )
  expect(Object.fromEntries(rows)).toEqual(ERROR_CODES)
})
