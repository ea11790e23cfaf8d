package main

import (
	"encoding/json"
	"encoding/xml"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/fsouza/fake-gcs-server/fakestorage"
)

const mostKeys = 1000

// The XML API: https://cloud.google.com/storage/docs/xml-api/overview
type xmlAPI struct {
	server  *fakestorage.Server
	json    http.Handler
	uploads uploads
}

func newXMLAPI(server *fakestorage.Server, json http.Handler) *xmlAPI {
	return &xmlAPI{server: server, json: json, uploads: uploads{open: map[string]*upload{}}}
}

// What a request is about.
type target struct {
	bucket, object string
	query          url.Values
}

func (api *xmlAPI) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	of, err := targetOf(r)
	if err != nil {
		refuse(w, http.StatusBadRequest, "InvalidURI", err.Error())
		return
	}
	if api.ask(http.MethodGet, "/storage/v1/b/"+url.PathEscape(of.bucket), nil, nil).Code != http.StatusOK {
		refuse(w, http.StatusNotFound, "NoSuchBucket", "The specified bucket does not exist.")
		return
	}
	isUpload := of.query.Has("uploadId")
	switch {
	case of.object == "" && r.Method == http.MethodGet:
		api.list(w, of)
	case of.object == "":
		refuse(w, http.StatusNotImplemented, "NotImplemented", "Of buckets there are only listings here.")
	case r.Header.Get("x-goog-copy-source") != "":
		refuse(w, http.StatusNotImplemented, "NotImplemented", "There are no copies here.")
	case r.Method == http.MethodGet, r.Method == http.MethodHead:
		api.read(w, r, of)
	case r.Method == http.MethodPut && isUpload:
		api.putPart(w, r, of)
	case r.Method == http.MethodPut:
		api.put(w, r, of)
	case r.Method == http.MethodPost && of.query.Has("uploads"):
		api.beginUpload(w, r, of)
	case r.Method == http.MethodPost && isUpload:
		api.joinUpload(w, r, of)
	case r.Method == http.MethodDelete && isUpload:
		api.abortUpload(w, of)
	case r.Method == http.MethodDelete:
		api.delete(w, of)
	default:
		refuse(w, http.StatusMethodNotAllowed, "MethodNotAllowed", "The method is not allowed here.")
	}
}

func targetOf(r *http.Request) (target, error) {
	bucket, object, _ := strings.Cut(strings.TrimPrefix(r.URL.EscapedPath(), "/"), "/")
	of := target{query: r.URL.Query()}
	var err error
	if of.bucket, err = url.PathUnescape(bucket); err != nil {
		return of, err
	}
	of.object, err = url.PathUnescape(object)
	return of, err
}

func (api *xmlAPI) read(w http.ResponseWriter, r *http.Request, of target) {
	object, err := api.server.GetObjectStreaming(of.bucket, of.object)
	if err != nil {
		refuse(w, http.StatusNotFound, "NoSuchKey", "The specified key does not exist.")
		return
	}
	defer object.Close()
	header := w.Header()
	header.Set("ETag", strconv.Quote(object.Etag))
	header.Set("x-goog-generation", strconv.FormatInt(object.Generation, 10))
	header.Set("Content-Type", object.ContentType)
	for name, value := range object.Metadata {
		header.Set("x-goog-meta-"+name, value)
	}
	if object.Size == 0 && r.Header.Get("Range") != "" {
		refuse(w, http.StatusRequestedRangeNotSatisfiable, "InvalidRange", "The requested range cannot be satisfied.")
		return
	}
	// It knows ranges and conditions on the entity tag.
	http.ServeContent(w, r, "", object.Updated, object.Content)
}

func (api *xmlAPI) put(w http.ResponseWriter, r *http.Request, of target) {
	written, ok := api.write(w, of, r.Header.Get("x-goog-if-generation-match"), r.Header, r.Body)
	if !ok {
		return
	}
	w.Header().Set("ETag", strconv.Quote(written.Etag))
	w.Header().Set("x-goog-generation", written.Generation)
}

// An object as the JSON API describes it.
type written struct {
	Etag       string
	Generation string
}

// Writes an object by the JSON API, or tells why not.
func (api *xmlAPI) write(w http.ResponseWriter, of target, generation string, from http.Header, body io.Reader) (written, bool) {
	query := url.Values{"uploadType": {"media"}, "name": {of.object}}
	if generation != "" {
		query.Set("ifGenerationMatch", generation)
	}
	header := http.Header{"Content-Type": {from.Get("Content-Type")}}
	for name, values := range from {
		if strings.HasPrefix(strings.ToLower(name), "x-goog-meta-") {
			header[name] = values
		}
	}
	path := "/upload/storage/v1/b/" + url.PathEscape(of.bucket) + "/o?" + query.Encode()
	answer := api.ask(http.MethodPost, path, header, body)
	var object written
	switch {
	case answer.Code == http.StatusPreconditionFailed:
		refuse(w, answer.Code, "PreconditionFailed", "At least one of the pre-conditions you specified did not hold.")
		return object, false
	case answer.Code != http.StatusOK:
		refuse(w, answer.Code, "InternalError", answer.Body.String())
		return object, false
	}
	if err := json.Unmarshal(answer.Body.Bytes(), &object); err != nil {
		refuse(w, http.StatusInternalServerError, "InternalError", err.Error())
		return object, false
	}
	return object, true
}

func (api *xmlAPI) delete(w http.ResponseWriter, of target) {
	path := "/storage/v1/b/" + url.PathEscape(of.bucket) + "/o/" + url.PathEscape(of.object)
	if api.ask(http.MethodDelete, path, nil, nil).Code != http.StatusOK {
		refuse(w, http.StatusNotFound, "NoSuchKey", "The specified key does not exist.")
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

type listing struct {
	XMLName               xml.Name `xml:"ListBucketResult"`
	Name                  string
	Prefix                string
	IsTruncated           bool
	NextContinuationToken string `xml:",omitempty"`
	Contents              []listed
	CommonPrefixes        []prefix
}

type listed struct {
	Key          string
	Generation   int64
	LastModified string
	ETag         string
	Size         int64
}

type prefix struct {
	Prefix string
}

func (api *xmlAPI) list(w http.ResponseWriter, of target) {
	limit := mostKeys
	if text := of.query.Get("max-keys"); text != "" {
		number, err := strconv.Atoi(text)
		if err != nil || number < 0 {
			refuse(w, http.StatusBadRequest, "InvalidArgument", "max-keys is no number.")
			return
		}
		limit = min(limit, number)
	}
	options := fakestorage.ListOptions{
		Prefix:     of.query.Get("prefix"),
		Delimiter:  of.query.Get("delimiter"),
		PageToken:  of.query.Get("continuation-token"),
		MaxResults: limit,
	}
	if after := of.query.Get("start-after"); after != "" && options.PageToken == "" {
		// The name that follows it.
		options.StartOffset = after + "\x00"
	}
	page, err := api.server.ListObjectsWithOptionsPaginated(of.bucket, options)
	if err != nil {
		refuse(w, http.StatusInternalServerError, "InternalError", err.Error())
		return
	}
	told := listing{
		Name:                  of.bucket,
		Prefix:                options.Prefix,
		IsTruncated:           page.NextPageToken != "",
		NextContinuationToken: page.NextPageToken,
	}
	for _, object := range page.Objects {
		told.Contents = append(told.Contents, listed{
			Key:          object.Name,
			Generation:   object.Generation,
			LastModified: object.Updated.UTC().Format(time.RFC3339Nano),
			ETag:         strconv.Quote(object.Etag),
			Size:         object.Size,
		})
	}
	for _, name := range page.Prefixes {
		told.CommonPrefixes = append(told.CommonPrefixes, prefix{name})
	}
	tell(w, http.StatusOK, told)
}

// Asks the JSON API.
func (api *xmlAPI) ask(method, path string, header http.Header, body io.Reader) *httptest.ResponseRecorder {
	request := httptest.NewRequest(method, path, body)
	for name, values := range header {
		request.Header[name] = values
	}
	answer := httptest.NewRecorder()
	api.json.ServeHTTP(answer, request)
	return answer
}

type failure struct {
	XMLName xml.Name `xml:"Error"`
	Code    string
	Message string
}

func refuse(w http.ResponseWriter, status int, code, message string) {
	tell(w, status, failure{Code: code, Message: message})
}

func tell(w http.ResponseWriter, status int, what any) {
	body, err := xml.Marshal(what)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/xml; charset=UTF-8")
	w.WriteHeader(status)
	fmt.Fprint(w, xml.Header+string(body))
}
