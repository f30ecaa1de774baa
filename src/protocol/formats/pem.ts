/** The PEM form (RFC 7468) of a certificate, from its DER form in base64. */
export function toPem(base64: string): string {
  return `-----BEGIN CERTIFICATE-----\n${base64.replaceAll(/.{64}(?=.)/g, '$&\n')}\n-----END CERTIFICATE-----\n`;
}
