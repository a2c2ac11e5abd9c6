import { digestOf } from '@layerlock/test-support'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { errorCodes, type FreshImage, type ProxiedRegistry, startProxiedRegistry } from './proxied-registry.ts'

const INDEX_TYPE = 'application/vnd.oci.image.index.v1+json'
const SIGNATURE = 'application/vnd.test.signature'
const SBOM = 'application/vnd.test.sbom'
let proxied: ProxiedRegistry
let fresh: FreshImage

beforeAll(async () => {
  proxied = await startProxiedRegistry({ referrers: true, referrersPerPage: 2 })
})
afterAll(() => proxied[Symbol.asyncDispose]())
beforeEach(async () => {
  fresh = await proxied.freshImage()
  await proxied.asked()
})

/** The three ways in which clients say which upstream they mean, as a path and a query. */
const WAYS = [
  ['the default upstream', (name: string) => ({ base: `/v2/${name}`, ns: undefined })],
  ['containerd’s ns', (name: string) => ({ base: `/v2/${name}`, ns: 'docker.io' })],
  ['a prefix', (name: string) => ({ base: `/v2/docker.io/${name}`, ns: undefined })],
] as const

/** Follows `Link` from page to page, as clients do. */
async function pagesFrom(path: string): Promise<{ readonly url: string; readonly json: Record<string, unknown> }[]> {
  const pages = []
  for (let url: string | undefined = path; url !== undefined;) {
    const { headers, body } = await proxied.ask(url)
    pages.push({ url, json: JSON.parse(String(body)) as Record<string, unknown> })
    url = /^<([^>]+)>; rel="next"$/.exec(String(headers['link']))?.[1]
  }
  return pages
}

function withQuery(path: string, query: Readonly<Record<string, string | undefined>>): string {
  const given = Object.entries(query).filter((entry): entry is [string, string] => entry[1] !== undefined)
  return given.length === 0 ? path : `${path}?${new URLSearchParams(given).toString()}`
}

describe('Listing Tags (end-8a, end-8b)', () => {
  beforeEach(() => {
    for (const tag of ['a', 'B', '1.0', 'z_9', 'm-x']) {
      proxied.registry.contents.setTag(fresh.repository, tag, fresh.image.top.digest)
    }
  })
  const sorted = ['1.0', 'B', 'a', 'latest', 'm-x', 'z_9']

  test('the list MUST be answered with 200, the name and all tags in lexical order', async () => {
    const { status, headers, body } = await proxied.ask(`${fresh.path}/tags/list`)
    expect({ status, json: JSON.parse(String(body)) as unknown }).toEqual({
      status: 200,
      json: { name: fresh.repository, tags: sorted },
    })
    expect(headers['content-type']).toMatch(/^application\/json/)
    expect(headers['content-length']).toBe(String(body.length))
  })

  test.each([
    ['10m', ['GET tags']],
    ['1ms', ['GET tags', 'GET tags']],
  ])('with a tag TTL of %s two lists, one after the other, cost %j', async (ttl, asked) => {
    await using other = await startProxiedRegistry({ args: ['--tag-ttl', ttl] })
    const { path, repository, image } = await other.freshImage()
    const list = async () => {
      const { body } = await other.ask(`${path}/tags/list`)
      return (JSON.parse(String(body)) as { tags: string[] }).tags
    }
    expect(await list()).toEqual(['latest'])
    other.registry.contents.setTag(repository, 'new', image.top.digest)
    expect(await list()).toEqual(asked.length === 1 ? ['latest'] : ['latest', 'new'])
    expect(await other.asked()).toEqual(asked)
  })

  test('n and last are heeded, and n=0 MUST give an empty list without a Link', async () => {
    const part = await proxied.ask(`${fresh.path}/tags/list?n=2&last=B`)
    expect((JSON.parse(String(part.body)) as { tags: string[] }).tags).toEqual(['a', 'latest'])
    const empty = await proxied.ask(`${fresh.path}/tags/list?n=0`)
    expect({ status: empty.status, tags: (JSON.parse(String(empty.body)) as { tags: string[] }).tags }).toEqual({
      status: 200,
      tags: [],
    })
    expect(empty.headers['link']).toBeUndefined()
  })

  test.each(WAYS)('following Link from %s leads through all pages, always by this proxy', async (_, way) => {
    const { base, ns } = way(fresh.repository)
    const pages = await pagesFrom(withQuery(`${base}/tags/list`, { n: '2', ns }))
    expect(pages.flatMap(({ json }) => json['tags'])).toEqual(sorted)
    for (const { url } of pages) {
      expect(url.startsWith(`${base}/tags/list?`)).toBe(true)
      expect(new URL(url, proxied.proxy.url).searchParams.get('ns') ?? undefined).toBe(ns)
    }
    // Upstream knows nothing of `ns`, and sees its own paths only.
    const seen = proxied.registry.requests.all.map(({ url }) => new URL(url, 'http://upstream'))
    expect(new Set(seen.map(({ pathname }) => pathname))).toEqual(new Set([`/v2/${fresh.repository}/tags/list`]))
    expect(seen.filter(({ searchParams }) => searchParams.has('ns'))).toEqual([])
    expect(seen).toHaveLength(3)
  })

  test('a repository that is not there MUST be 404, with NAME_UNKNOWN', async () => {
    const answer = await proxied.ask('/v2/library/no-such-repository/tags/list')
    expect({ status: answer.status, codes: errorCodes(answer) }).toEqual({ status: 404, codes: ['NAME_UNKNOWN'] })
  })

  test('HEAD has the headers and no body', async () => {
    const { status, body } = await proxied.ask(`${fresh.path}/tags/list`, { method: 'HEAD' })
    expect({ status, body: body.length }).toEqual({ status: 200, body: 0 })
  })
})

describe('Listing Referrers (end-12a, end-12b)', () => {
  const listed = [
    ['one', SIGNATURE],
    ['two', SBOM],
    ['three', SIGNATURE],
    ['four', SIGNATURE],
  ].map(([content = '', artifactType = '']) => ({
    mediaType: 'application/vnd.oci.image.manifest.v1+json',
    digest: digestOf(content),
    size: content.length,
    artifactType,
  }))
  const subject = () => fresh.image.top.digest

  beforeEach(() => {
    for (const referrer of listed) proxied.registry.contents.addReferrer(fresh.repository, subject(), referrer)
  })

  test('the list MUST be 200 with an image index, and its Content-Type MUST say so', async () => {
    const { status, headers, body } = await proxied.ask(`${fresh.path}/referrers/${subject()}`)
    expect({ status, type: headers['content-type'] }).toEqual({ status: 200, type: INDEX_TYPE })
    expect(JSON.parse(String(body))).toEqual({
      schemaVersion: 2,
      mediaType: INDEX_TYPE,
      manifests: listed.slice(0, 2),
    })
  })

  test('a manifest without referrers MUST be answered with 200 and an empty index, not with 404', async () => {
    const { status, headers, body } = await proxied.ask(`${fresh.path}/referrers/${digestOf('none')}`)
    expect({ status, type: headers['content-type'] }).toEqual({ status: 200, type: INDEX_TYPE })
    expect((JSON.parse(String(body)) as { manifests: unknown[] }).manifests).toEqual([])
  })

  test('artifactType filters, and the answer MUST say so in OCI-Filters-Applied', async () => {
    const { headers, body } = await proxied.ask(`${fresh.path}/referrers/${subject()}?artifactType=${SBOM}`)
    expect((JSON.parse(String(body)) as { manifests: unknown[] }).manifests).toEqual([listed[1]])
    expect(headers['oci-filters-applied']).toBe('artifactType')
    const all = await proxied.ask(`${fresh.path}/referrers/${subject()}`)
    expect(all.headers['oci-filters-applied']).toBeUndefined()
  })

  test.each(WAYS)('following Link from %s leads through all pages, with the filter', async (_, way) => {
    const { base, ns } = way(fresh.repository)
    const pages = await pagesFrom(withQuery(`${base}/referrers/${subject()}`, { artifactType: SIGNATURE, ns }))
    expect(pages.flatMap(({ json }) => json['manifests'])).toEqual([listed[0], listed[2], listed[3]])
    expect(pages).toHaveLength(2)
    expect(await proxied.asked()).toEqual(['GET referrers', 'GET referrers'])
  })

  test('a digest that is none MUST be 400, and upstream is not asked', async () => {
    const answer = await proxied.ask(`${fresh.path}/referrers/sha256:abc`)
    expect({ status: answer.status, codes: errorCodes(answer) }).toEqual({ status: 400, codes: ['DIGEST_INVALID'] })
    expect(await proxied.asked()).toEqual([])
  })
})

test('the 404 of an upstream that has no referrers API stays a 404, so that clients use the referrers tag', async () => {
  await using old = await startProxiedRegistry()
  const { image, path } = await old.freshImage()
  expect((await old.ask(`${path}/referrers/${image.top.digest}`)).status).toBe(404)
  const tag = image.top.digest.replace(':', '-')
  const { status, headers } = await old.ask(`${path}/manifests/${tag}`)
  expect({ status, type: headers['content-type'] }).toEqual({ status: 404, type: 'application/json' })
  expect(await old.asked()).toEqual(['GET referrers', 'HEAD manifest'])
})
