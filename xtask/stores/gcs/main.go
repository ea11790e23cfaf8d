// An emulator of Google Cloud Storage: fake-gcs-server, and before it the XML API as far as object stores' clients use it.
//
// fake-gcs-server answers the JSON API. Of the XML API it has reads without conditions and listings without pages, and no
// writes; so those are here, over the same objects. Whoever asks may do everything.
package main

import (
	"flag"
	"fmt"
	"log"
	"net"
	"net/http"
	"strings"

	"github.com/fsouza/fake-gcs-server/fakestorage"
)

func main() {
	port := flag.Int("port", 0, "port of the loopback interface to listen at")
	data := flag.String("data", "", "directory of what is stored")
	bucket := flag.String("bucket", "", "bucket to make")
	flag.Parse()

	address := fmt.Sprintf("127.0.0.1:%d", *port)
	server, err := fakestorage.NewServerWithOptions(fakestorage.Options{
		StorageRoot: *data,
		NoListener:  true,
		ExternalURL: "http://" + address,
		PublicHost:  address,
	})
	if err != nil {
		log.Fatalf("cannot open %s: %v", *data, err)
	}
	server.CreateBucketWithOpts(fakestorage.CreateBucketOpts{Name: *bucket})
	listener, err := net.Listen("tcp", address)
	if err != nil {
		log.Fatal(err)
	}
	log.Fatal(http.Serve(listener, newHandler(server)))
}

// Paths of the JSON API, and of fake-gcs-server's own. No bucket has such a name.
var jsonPaths = []string{"/storage/", "/upload/", "/download/", "/batch/", "/_internal/"}

func newHandler(server *fakestorage.Server) http.Handler {
	json := server.HTTPHandler()
	xml := newXMLAPI(server, json)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for _, path := range jsonPaths {
			if strings.HasPrefix(r.URL.Path, path) {
				json.ServeHTTP(w, r)
				return
			}
		}
		xml.ServeHTTP(w, r)
	})
}
