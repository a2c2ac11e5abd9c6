import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { VERSION } from './version.ts'

test('VERSION is that of package.json', () => {
  const text = readFileSync(join(import.meta.dirname, '..', 'package.json'), 'utf8')
  expect((JSON.parse(text) as { version: string }).version).toBe(VERSION)
})
