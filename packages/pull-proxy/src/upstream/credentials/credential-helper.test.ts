import { readFile, writeFile } from 'node:fs/promises'
import { waitFor } from '@layerlock/test-support'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { failureOf } from '../../failure-of.testbed.ts'
import { createCredentialSource } from './create-credential-source.ts'
import type { HelperOptions } from './credential-helper.ts'
import { createHelperFolder, gives, type HelperFolder } from './credential-helper.testbed.ts'

const { signal } = new AbortController()
let programs: HelperFolder

beforeEach(async () => {
  programs = await createHelperFolder()
})

afterEach(async () => {
  await programs[Symbol.asyncDispose]()
})

const helper = (options: HelperOptions = {}, name = 'test') =>
  createCredentialSource({ kind: 'helper', name }, 'docker.io', 'registry-1.docker.io', {
    env: programs.env,
    ...options,
  })

test('a helper is asked for the server, and its answer is remembered', async () => {
  await programs.write('test', gives('ann', 's3cret'))
  const source = helper()
  const ann = { kind: 'basic', username: 'ann', password: 's3cret' }
  expect([await source.get({ signal }), await source.get({ signal })]).toEqual([ann, ann])
  expect(await programs.asked()).toEqual(['get https://index.docker.io/v1/'])
})

test('the user <token> means that the secret is an identity token', async () => {
  await programs.write('test', gives('<token>', 'id3ntity'))
  expect(await helper().get({ signal })).toEqual({ kind: 'identityToken', token: 'id3ntity' })
})

test('a helper that has nothing means that there are no credentials, and is believed for a while', async () => {
  await programs.write('test', 'echo "credentials not found in native keychain"; exit 1')
  const source = helper()
  expect([await source.get({ signal }), await source.get({ signal })]).toEqual([undefined, undefined])
  expect(await programs.asked()).toHaveLength(1)
})

test('callers that come at the same time share one run, and one of them may leave', async () => {
  await programs.write('test', `while [ ! -e '${programs.path}/go' ]; do sleep 0.01; done\n${gives('ann', 's3cret')}`)
  const source = helper()
  const leaving = new AbortController()
  const left = failureOf(source.get({ signal: leaving.signal }))
  const others = Promise.all([source.get({ signal }), source.get({ signal, fresh: true })])
  await waitFor(async () => (await programs.asked()).length > 0, { what: 'the helper' })
  leaving.abort(new Error('the caller left'))
  expect(await left).toMatchObject({ message: 'the caller left' })
  await writeFile(`${programs.path}/go`, '')
  for (const credentials of await others) expect(credentials).toMatchObject({ username: 'ann' })
  expect(await programs.asked()).toHaveLength(1)
})

test('an answer is forgotten in time, and at once when it was refused', async () => {
  await programs.write('test', gives('ann', 's3cret'))
  const remembering = helper()
  await remembering.get({ signal })
  await remembering.get({ signal, fresh: true })
  expect(await programs.asked()).toHaveLength(2)
  const forgetting = helper({ rememberMs: 0 })
  await forgetting.get({ signal })
  await forgetting.get({ signal })
  expect(await programs.asked()).toHaveLength(4)
})

test('a failure is not remembered', async () => {
  await programs.write('test', 'exit 1')
  const source = helper()
  await expect(source.get({ signal })).rejects.toMatchObject({ code: 'UNKNOWN' })
  await programs.write('test', gives('ann', 's3cret'))
  expect(await source.get({ signal })).toMatchObject({ username: 'ann' })
})

test.each([
  ['fails', 'echo s3cret; echo s3cret >&2; exit 3', 'docker-credential-test exits with status 3'],
  ['gives no JSON', 'echo "{s3cret"', 'answers with something that is no credentials'],
  ['gives no secret', `echo '{"Username":"ann","Password":"s3cret"}'`, 'answers with something that is no credentials'],
  ['gives an empty secret', gives('s3cret', ''), 'answers with something that is no credentials'],
  ['says null', 'echo null', 'answers with something that is no credentials'],
  ['never stops writing', 'while :; do echo s3cret s3cret s3cret s3cret; done', 'writes more than 262144 bytes'],
  ['kills itself', 'echo s3cret; kill -9 $$', 'cannot be run: SIGKILL'],
])('a helper that %s is named, and what it wrote is not shown', async (_, script, message) => {
  await programs.write('test', script)
  const failure = await failureOf(helper().get({ signal }))
  expect(failure).toMatchObject({ code: 'UNKNOWN', message: expect.stringContaining(message) })
  expect(JSON.stringify([String(failure), failure])).not.toContain('s3cret')
  expect((failure as Error).cause).toBeUndefined()
})

test('a helper that hangs is ended, and what it started itself is not waited for', async () => {
  const pid = async (which: string) => Number(await readFile(`${programs.path}/${which}`, 'utf8'))
  await programs.write('test', `cd '${programs.path}'; echo $$ > helper; sleep 300 & echo $! > child; wait`)
  const failure = await failureOf(helper({ helperTimeoutMs: 500 }).get({ signal }))
  expect(failure).toMatchObject({ code: 'UNKNOWN', message: expect.stringContaining('no answer within 500 ms') })
  const helperPid = await pid('helper')
  expect(() => process.kill(helperPid, 0)).toThrow('ESRCH')
  process.kill(await pid('child'))
})

test('a helper that is not there is named', async () => {
  await expect(helper({}, 'missing').get({ signal })).rejects.toMatchObject({
    code: 'UNKNOWN',
    message: expect.stringContaining('docker-credential-missing is not found in PATH'),
  })
})

test('a helper that does not read what it is asked is judged by its answer', async () => {
  await programs.write('test', '')
  const path = `${programs.path}/docker-credential-test`
  await writeFile(path, `#!/bin/sh\nexec 0<&-\n${gives('ann', 's3cret')}\n`)
  expect(await helper().get({ signal })).toMatchObject({ username: 'ann' })
})

test.each(['', '../x', 'a/b', 'a b', 'a;b', '$(x)', 'x'.repeat(101)])('%j is no name of a helper', (name) => {
  expect(() => helper({}, name)).toThrow(TypeError)
})
