package analyticstest

import (
	"crypto"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

const (
	assertionLife = 60 * time.Second // the most exp may lie ahead
	clockLeeway   = 2 * time.Second  // the Date header tells whole seconds only
)

type jwtHeader struct {
	Alg string `json:"alg"`
	Typ string `json:"typ"`
	Kid string `json:"kid"`
}

// jwtClaims are those the documents ask for. iss is optional, and the documents
// and clients disagree on its value, so it is not looked at.
type jwtClaims struct {
	Sub string          `json:"sub"`
	Aud json.RawMessage `json:"aud"`
	Iat *float64        `json:"iat"`
	Exp *float64        `json:"exp"`
	Jti string          `json:"jti"`
}

// verify checks a client assertion and returns its jti.
func (o OAuthRules) verify(assertion string, now time.Time) (jti string, err error) {
	parts := strings.Split(assertion, ".")
	if len(parts) != 3 {
		return "", errors.New("client_assertion is no JWT")
	}
	var header jwtHeader
	if err := decodePart(parts[0], &header); err != nil {
		return "", fmt.Errorf("JWT header: %w", err)
	}
	if header.Alg != "RS256" || header.Typ != "JWT" {
		return "", errors.New("JWT header: alg is not RS256 or typ is not JWT")
	}
	key := o.Keys[header.Kid]
	if key == nil {
		return "", errors.New("JWT header: unknown kid")
	}
	signature, err := base64.RawURLEncoding.Strict().DecodeString(parts[2])
	if err != nil {
		return "", fmt.Errorf("JWT signature: %w", err)
	}
	sum := sha256.Sum256([]byte(parts[0] + "." + parts[1]))
	if err := rsa.VerifyPKCS1v15(key, crypto.SHA256, sum[:], signature); err != nil {
		return "", errors.New("JWT signature does not verify")
	}
	var claims jwtClaims
	if err := decodePart(parts[1], &claims); err != nil {
		return "", fmt.Errorf("JWT claims: %w", err)
	}
	return claims.Jti, o.check(claims, now)
}

// check judges the claims by the server's clock.
func (o OAuthRules) check(c jwtClaims, now time.Time) error {
	switch {
	case c.Sub == "" || o.AppID != "" && c.Sub != o.AppID:
		return errors.New("JWT claims: sub is not the app id")
	case !o.audience(c.Aud):
		return errors.New("JWT claims: aud is not the auth host")
	case c.Jti == "":
		return errors.New("JWT claims: no jti")
	case c.Iat == nil || c.Exp == nil:
		return errors.New("JWT claims: no iat or no exp")
	}
	at := float64(now.UnixMilli()) / 1000
	switch {
	case *c.Iat > at+clockLeeway.Seconds():
		return errors.New("JWT claims: iat lies in the future")
	case *c.Exp < at-clockLeeway.Seconds():
		return errors.New("JWT claims: expired")
	case *c.Exp > at+(assertionLife+clockLeeway).Seconds():
		return errors.New("JWT claims: exp lies more than 60 s ahead")
	}
	return nil
}

// audience accepts a string, or a list that has it, as RFC 7519 does.
func (o OAuthRules) audience(raw json.RawMessage) bool {
	var list []string
	var one string
	if json.Unmarshal(raw, &one) == nil {
		list = []string{one}
	} else if json.Unmarshal(raw, &list) != nil {
		return false
	}
	return slices.ContainsFunc(list, func(aud string) bool {
		return aud != "" && (o.Audience == "" || aud == o.Audience)
	})
}

func decodePart(part string, v any) error {
	b, err := base64.RawURLEncoding.Strict().DecodeString(part)
	if err != nil {
		return err
	}
	return json.Unmarshal(b, v)
}
