import { afterAll, beforeAll, describe, expect, test } from 'vitest'

import { digestOf } from './descriptor.ts'
import { httpGet } from './http-get.ts'
import { type RegistryServer, startRegistryServer } from './registry-server.ts'

const subject = digestOf('subject')
const signature = referrer('signature', 'application/vnd.test.signature')
const sbom = referrer('sbom', 'application/vnd.test.sbom')
let registry: RegistryServer

beforeAll(async () => {
  registry = await startRegistryServer({ referrers: true, referrersPerPage: 1 })
  for (const tag of ['c', 'a', 'b']) registry.contents.setTag('library/app', tag, subject)
  registry.contents.addReferrer('library/app', subject, signature)
  registry.contents.addReferrer('library/app', subject, sbom)
})

afterAll(async () => {
  await registry[Symbol.asyncDispose]()
})

async function get(path: string) {
  const { status, headers, body } = await httpGet(`${registry.url}/v2/library/app/${path}`, { keepBody: true })
  return { status, headers, json: JSON.parse(String(body)) as Record<string, unknown> }
}

describe('a list of tags', () => {
  test('is sorted, and whole where no page is asked for', async () => {
    const { status, headers, json } = await get('tags/list')
    expect({ status, tags: json['tags'], link: headers['link'] }).toEqual({
      status: 200,
      tags: ['a', 'b', 'c'],
      link: undefined,
    })
  })

  test('comes in pages of n after last, each but the last one with a Link', async () => {
    const first = await get('tags/list?n=2')
    expect(first.json['tags']).toEqual(['a', 'b'])
    expect(first.headers['link']).toBe('</v2/library/app/tags/list?n=2&last=b>; rel="next"')
    const second = await get('tags/list?n=2&last=b')
    expect(second.json['tags']).toEqual(['c'])
    expect(second.headers['link']).toBeUndefined()
  })

  test('is empty and has no Link for n=0', async () => {
    const { headers, json } = await get('tags/list?n=0')
    expect({ tags: json['tags'], link: headers['link'] }).toEqual({ tags: [], link: undefined })
  })
})

describe('a list of referrers', () => {
  test('comes in pages, each but the last one with a Link', async () => {
    const first = await get(`referrers/${subject}`)
    expect(first.json['manifests']).toEqual([signature])
    expect(first.headers['link']).toBe(`</v2/library/app/referrers/${subject}?page=1>; rel="next"`)
    const second = await get(`referrers/${subject}?page=1`)
    expect(second.json['manifests']).toEqual([sbom])
    expect(second.headers['link']).toBeUndefined()
  })

  test('is filtered by artifactType, and says so', async () => {
    const { headers, json } = await get(`referrers/${subject}?artifactType=${sbom.artifactType}`)
    expect(json['manifests']).toEqual([sbom])
    expect(headers['oci-filters-applied']).toBe('artifactType')
  })

  test('is an empty index where there are none', async () => {
    const { status, headers, json } = await get(`referrers/${digestOf('other')}`)
    expect({ status, manifests: json['manifests'] }).toEqual({ status: 200, manifests: [] })
    expect(headers['content-type']).toBe('application/vnd.oci.image.index.v1+json')
  })
})

function referrer(content: string, artifactType: string) {
  const mediaType = 'application/vnd.oci.image.manifest.v1+json'
  return { mediaType, digest: digestOf(content), size: content.length, artifactType }
}
