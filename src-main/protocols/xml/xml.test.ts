import { describe, expect, it } from 'vitest'
import { attributeOf, find, formatXml, maxXmlBytes, parseXml, textOf } from './xml.ts'

const parse = (text: string) => parseXml(text, 'The test document')

describe('parseXml', () => {
  it('keeps order, attributes and text, and knows the five entities and numeric ones', () => {
    const root = parse(
      `<?xml version="1.0"?><a x='1&amp;2'><b>t &lt;&#65;&#x42;<![CDATA[<raw>&]]></b><c/><b/></a>`,
    )
    expect(root.children.map((node) => (typeof node === 'string' ? node : node.name))).toEqual([
      'b',
      'c',
      'b',
    ])
    expect(attributeOf(root, 'x')).toBe('1&2')
    expect(textOf(find(root, 'b'))).toBe('t <AB<raw>&')
  })

  it.each([
    ['a document type', '<!DOCTYPE a SYSTEM "file:///etc/passwd"><a/>', /document type/],
    ['an entity in an internal subset', '<!DOCTYPE a [<!ENTITY x "y">]><a>&x;</a>', /document type/],
    ['a document type in odd spelling', '<! doctype a><a/>', /document type/],
    ['an entity that XML does not define', '<a>&nbsp;</a>', /&nbsp;/],
    ['a bare ampersand', '<a b="1 & 2"/>', /is not a character/],
    ['a forbidden character reference', '<a>&#0;</a>', /&#0;/],
    ['a surrogate reference', '<a>&#xD800;</a>', /D800/],
    ['mismatched tags', '<a><b></a>', /line 1/],
    ['two outermost elements', '<a/><b/>', /exactly one/],
    ['nothing', '', /cannot be read/],
    ['deep nesting', '<a>'.repeat(50_000) + '</a>'.repeat(50_000), /nested/],
    ['a reserved name', '<a><__proto__/></a>', /cannot be read/],
    ['too much', `<a>${' '.repeat(maxXmlBytes)}</a>`, /4 MiB/],
  ])('refuses %s', (_, text, message) => {
    expect(() => parse(text)).toThrow(
      expect.objectContaining({ code: 'bad-request', message: expect.stringMatching(message) }),
    )
  })
})

describe('formatXml', () => {
  it('writes what parses to the same tree, also with markup in values', () => {
    const text = `<a x="&lt;'&quot;&amp;&#10;">\n  <b>1 &lt; 2 &amp; 3</b>\n  <q:c xmlns:q="urn:q"/>\n</a>`
    expect(formatXml(parse(text))).toBe(text)
    expect(formatXml(parse(formatXml(parse(text))))).toBe(text)
  })
})
