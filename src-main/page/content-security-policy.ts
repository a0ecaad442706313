/** Stands in the built page where the nonce of a load belongs (electron.vite.config.ts, html.cspNonce). */
export const noncePlaceholder = 'GANTRY-CSP-NONCE'

/**
 * The policy that the page is served under; a header, because frame-ancestors does not work in the page itself.
 * The nonce is for style elements that libraries add; scripts and styles of our own are files.
 */
export function contentSecurityPolicy(nonce: string): string {
  return [
    "default-src 'none'",
    "script-src 'self'",
    `style-src-elem 'self' 'nonce-${nonce}'`,
    "style-src-attr 'none'",
    "img-src 'self' data:",
    "font-src 'self'",
    "connect-src 'self'",
    "worker-src 'self'",
    "object-src 'none'",
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
  ].join('; ')
}
