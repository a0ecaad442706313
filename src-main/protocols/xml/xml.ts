import { XMLParser, XMLValidator } from 'fast-xml-parser'
import { AppError } from '#shared/errors/app-error.ts'
import { MiB } from '#shared/units/bytes.ts'

export interface XmlElement {
  /** As written, with its prefix. */
  readonly name: string
  readonly attributes: Map<string, string>
  children: XmlNode[]
}
/** A string is character data, decoded. */
export type XmlNode = XmlElement | string

export const maxXmlBytes = 4 * MiB

const attributesKey = ':@'
const parser = new XMLParser({
  preserveOrder: true,
  ignoreAttributes: false,
  attributeNamePrefix: '',
  parseTagValue: false,
  parseAttributeValue: false,
  trimValues: false,
  // Decoded here instead: an entity that XML 1.0 does not define by itself is an error and not text.
  processEntities: false,
  cdataPropName: '#cdata',
  ignoreDeclaration: true,
  ignorePiTags: true,
})

/**
 * Parses a whole XML document that came from outside. Throws bad-request, naming `what`, when it is over 4 MiB, is
 * not well-formed, nests deeper than 100 elements, or has a document type or entity declaration (no format read here
 * needs one, and entities read files and grow without bound).
 */
export function parseXml(text: string, what: string): XmlElement {
  const refuse = (why: string, cause?: unknown): AppError =>
    new AppError('bad-request', `${what} cannot be read: ${why}`, cause === undefined ? {} : { cause })
  if (text.length > maxXmlBytes) throw refuse(`it is larger than ${maxXmlBytes / MiB} MiB`)
  if (/<!\s*(DOCTYPE|ENTITY)/i.test(text))
    throw refuse('it declares a document type or entities, which is not accepted')
  const document = text.replace(/^\uFEFF/, '')
  const verdict = XMLValidator.validate(document)
  if (verdict !== true) throw refuse(`${verdict.err.msg} (line ${verdict.err.line})`)
  let parsed: unknown
  try {
    parsed = parser.parse(document)
  } catch (error) {
    throw refuse(error instanceof Error ? error.message : String(error), error)
  }
  const roots = toNodes(parsed, refuse).filter((node) => typeof node !== 'string')
  const root = roots[0]
  if (root === undefined || roots.length > 1) throw refuse('it must have exactly one outermost element')
  return root
}

type Refuse = (why: string) => AppError

/** The parser's ordered form: one object per node, its one key beside the attributes being the element's name. */
function toNodes(parsed: unknown, refuse: Refuse): XmlNode[] {
  if (!Array.isArray(parsed)) throw refuse('unexpected content')
  return parsed.flatMap((item: Record<string, unknown>): XmlNode[] => {
    const name = Object.keys(item).find((key) => key !== attributesKey)
    if (name === undefined) return []
    const value = item[name]
    if (name === '#text') return [decodeEntities(String(value), refuse)]
    if (name === '#cdata') return [rawText(value)]
    const attributes = Object.entries((item[attributesKey] ?? {}) as Record<string, string>)
    return [
      {
        name,
        attributes: new Map(attributes.map(([key, text]) => [key, decodeEntities(text, refuse)])),
        children: toNodes(value, refuse),
      },
    ]
  })
}

/** A CDATA section: what stands in it, undecoded. */
const rawText = (value: unknown): string =>
  Array.isArray(value) ? value.map((part: { '#text'?: string }) => part['#text'] ?? '').join('') : ''

const namedEntities: Record<string, string> = { lt: '<', gt: '>', amp: '&', quot: '"', apos: "'" }

function decodeEntities(text: string, refuse: Refuse): string {
  return text.replace(/&([^;&\s]{0,10});?/g, (whole, name: string) => {
    const known = namedEntities[name]
    if (known !== undefined && whole.endsWith(';')) return known
    const numeric = /^&#(?:x([0-9a-fA-F]{1,6})|(\d{1,7}));$/.exec(whole)
    const point =
      numeric === null ? Number.NaN : parseInt(numeric[1] ?? numeric[2] ?? '', numeric[1] ? 16 : 10)
    if (!isXmlCharacter(point)) throw refuse(`"${whole}" is not a character that XML knows`)
    return String.fromCodePoint(point)
  })
}

/** XML 1.0, production [2] Char. */
const isXmlCharacter = (point: number): boolean =>
  point === 9 ||
  point === 10 ||
  point === 13 ||
  (point >= 0x20 && point <= 0xd7ff) ||
  (point >= 0xe000 && point <= 0xfffd) ||
  (point >= 0x10000 && point <= 0x10ffff)

const isElement = (node: XmlNode): node is XmlElement => typeof node !== 'string'

/** Name without its namespace prefix. */
export const localName = (name: string): string => name.slice(name.indexOf(':') + 1)

export const makeElement = (
  name: string,
  attributes: Readonly<Record<string, string>> = {},
  children: XmlNode[] = [],
): XmlElement => ({ name, attributes: new Map(Object.entries(attributes)), children })

export const elementsOf = (parent: XmlElement): XmlElement[] => parent.children.filter(isElement)

/** Children of that local name, in order. */
export const childrenOf = (parent: XmlElement, name: string): XmlElement[] =>
  elementsOf(parent).filter((child) => localName(child.name) === name)

/** The first element down a path of local names. */
export function find(parent: XmlElement, ...path: readonly string[]): XmlElement | undefined {
  let at: XmlElement | undefined = parent
  for (const name of path) at = at === undefined ? undefined : childrenOf(at, name)[0]
  return at
}

/** Character data directly inside, trimmed; undefined when the element is not there or is empty. */
export function textOf(element: XmlElement | undefined): string | undefined {
  const text = element?.children
    .filter((child) => typeof child === 'string')
    .join('')
    .trim()
  return text === undefined || text === '' ? undefined : text
}

/** Attribute by local name. */
export function attributeOf(element: XmlElement | undefined, name: string): string | undefined {
  if (element === undefined) return undefined
  const exact = element.attributes.get(name)
  if (exact !== undefined) return exact
  for (const [key, value] of element.attributes) if (localName(key) === name) return value
  return undefined
}

const escapes: Record<string, string> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  '\t': '&#9;',
  '\n': '&#10;',
  '\r': '&#13;',
}
const escapeText = (text: string): string => text.replace(/[&<>\r]/g, (character) => escapes[character] ?? '')
const escapeAttribute = (text: string): string =>
  text.replace(/[&<>"\t\n\r]/g, (character) => escapes[character] ?? '')

/** One element per line, two spaces per level, attributes in double quotes; text-only elements stay on their line. */
export function formatXml(element: XmlElement, indent = ''): string {
  const attributes = [...element.attributes]
    .map(([name, value]) => ` ${name}="${escapeAttribute(value)}"`)
    .join('')
  const open = `${indent}<${element.name}${attributes}`
  const elements = elementsOf(element)
  if (elements.length === 0) {
    const text = element.children.filter((child) => typeof child === 'string').join('')
    return text.trim() === '' ? `${open}/>` : `${open}>${escapeText(text)}</${element.name}>`
  }
  const inner = element.children.flatMap((child) => {
    if (isElement(child)) return [formatXml(child, `${indent}  `)]
    return child.trim() === '' ? [] : [`${indent}  ${escapeText(child.trim())}`]
  })
  return [`${open}>`, ...inner, `${indent}</${element.name}>`].join('\n')
}
