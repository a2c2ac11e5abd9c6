import type { OutgoingHttpHeaders } from 'node:http'

import { type Answer, errorAnswer, textAnswer } from './answer.ts'
import { mediaTypesOf } from './descriptor.ts'
import type { RegistryContents } from './registry-contents.ts'

/** The tags of a repository, in pages where the client wants that (distribution-spec 1.1, "Listing Tags"). */
export function tagsAnswer(contents: RegistryContents, repository: string, url: string): Answer {
  if (!contents.hasRepository(repository)) return errorAnswer(404, 'NAME_UNKNOWN')
  const { pathname, searchParams } = new URL(url, 'http://localhost')
  const limit = Number(searchParams.get('n') ?? Infinity)
  const last = searchParams.get('last') ?? ''
  const rest = contents.tagsOf(repository).filter((tag) => tag > last)
  const tags = rest.slice(0, limit)
  const more = tags.length > 0 && tags.length < rest.length
  const next = `${pathname}?${new URLSearchParams({ n: String(limit), last: tags.at(-1) ?? '' }).toString()}`
  return textAnswer(200, JSON.stringify({ name: repository, tags }), more ? nextPage(next) : {})
}

/** Whose referrers are asked for. */
interface ReferrersRequest {
  readonly repository: string
  readonly subject: string
  readonly url: string
  readonly perPage: number | undefined
}

/** An index of what refers to a manifest, empty when nothing does ("Listing Referrers"). Pages by an opaque `page`. */
export function referrersAnswer(contents: RegistryContents, request: ReferrersRequest): Answer {
  const { repository, subject, url, perPage = Infinity } = request
  const { pathname, searchParams } = new URL(url, 'http://localhost')
  const artifactType = searchParams.get('artifactType')
  const from = Number(searchParams.get('page') ?? 0)
  const matching = contents
    .referrersOf(repository, subject)
    .filter((referrer) => artifactType === null || referrer.artifactType === artifactType)
  const manifests = matching.slice(from, from + perPage)
  searchParams.set('page', String(from + perPage))
  const body = JSON.stringify({ schemaVersion: 2, mediaType: mediaTypesOf.oci.index, manifests })
  return textAnswer(200, body, {
    'Content-Type': mediaTypesOf.oci.index,
    ...(artifactType === null ? {} : { 'OCI-Filters-Applied': 'artifactType' }),
    ...(from + perPage < matching.length ? nextPage(`${pathname}?${searchParams.toString()}`) : {}),
  })
}

function nextPage(target: string): OutgoingHttpHeaders {
  return { Link: `<${target}>; rel="next"` }
}
