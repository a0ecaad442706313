/** The page's own scheme: a standard, secure origin instead of file://. */
export const appScheme = 'app'
export const appHost = 'gantry'
export const appUrl = `${appScheme}://${appHost}/`

/** Whether a URL is of the page's own origin. Parsed, never compared as text. */
export function isOwnUrl(url: string): boolean {
  try {
    const { protocol, host, username, password } = new URL(url)
    return protocol === `${appScheme}:` && host === appHost && username === '' && password === ''
  } catch {
    return false
  }
}
