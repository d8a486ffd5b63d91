// Ociserver serves CUE's registry library from memory on a free port of the loopback interface, which it prints.
package main

import (
	"crypto/subtle"
	"flag"
	"fmt"
	"log"
	"net"
	"net/http"
	"strings"

	"cuelabs.dev/go/oci/ociregistry"
	"cuelabs.dev/go/oci/ociregistry/ocifilter"
	"cuelabs.dev/go/oci/ociregistry/ocimem"
	"cuelabs.dev/go/oci/ociregistry/ociserver"
)

const publicPrefix = "public/"

func main() {
	login := flag.String("login", "", "NAME:PASSWORD of the only user; others may read repositories below "+publicPrefix)
	readOnly := flag.Bool("read-only", false, "accept no pushes")
	terse := flag.Bool("terse", false, "no Link, no digest in the response to a GET, pages of at most 100 names")
	flag.Parse()

	options := &ociserver.Options{}
	if *terse {
		options = &ociserver.Options{
			OmitLinkHeaderFromResponses: true, OmitDigestFromTagGetResponse: true, MaxListPageSize: 100,
		}
	}
	var backend ociregistry.Interface = ocimem.New()
	if *readOnly {
		backend = ocifilter.ReadOnly(backend)
	}
	handler := ociserver.New(backend, options)
	if *login != "" {
		public := ocifilter.ReadOnly(ocifilter.Select(backend, isPublic))
		handler = withLogin(*login, handler, ociserver.New(public, options))
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(listener.Addr())
	log.Fatal(http.Serve(listener, handler))
}

func isPublic(repository string) bool { return strings.HasPrefix(repository, publicPrefix) }

// withLogin serves all to the user, and what is public to those who send no password. Like zot, it answers an anonymous
// GET /v2/ with 200 and a challenge, lists public repositories only, and refuses others.
func withLogin(login string, all, public http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		name, password, isGiven := r.BasicAuth()
		switch {
		case isGiven && subtle.ConstantTimeCompare([]byte(name+":"+password), []byte(login)) == 1:
			all.ServeHTTP(w, r)
		case !isGiven && isForAll(r):
			w.Header().Set("WWW-Authenticate", `Basic realm="ociserver"`)
			public.ServeHTTP(w, r)
		default:
			w.Header().Set("WWW-Authenticate", `Basic realm="ociserver"`)
			ociregistry.WriteError(w, ociregistry.ErrUnauthorized)
		}
	})
}

func isForAll(r *http.Request) bool {
	path := strings.TrimPrefix(r.URL.Path, "/v2/")
	isRead := r.Method == http.MethodGet || r.Method == http.MethodHead
	return isRead && (path == "" || path == "_catalog" || isPublic(path))
}
