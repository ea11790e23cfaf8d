package main

import (
	"bytes"
	"crypto/md5"
	"crypto/rand"
	"encoding/xml"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"sync"
)

// All parts but the last have so many bytes at least.
const leastPart = 5 << 20

// Uploads in parts that are neither joined nor aborted: https://cloud.google.com/storage/docs/multipart-uploads
// They are in memory, and gone with the process.
type uploads struct {
	mutex sync.Mutex
	open  map[string]*upload
}

type upload struct {
	of     target
	header http.Header
	parts  map[int]part
}

type part struct {
	etag string
	data []byte
}

func (api *xmlAPI) beginUpload(w http.ResponseWriter, r *http.Request, of target) {
	id := rand.Text()
	api.uploads.mutex.Lock()
	api.uploads.open[id] = &upload{of: of, header: r.Header.Clone(), parts: map[int]part{}}
	api.uploads.mutex.Unlock()
	tell(w, http.StatusOK, struct {
		XMLName  xml.Name `xml:"InitiateMultipartUploadResult"`
		Bucket   string
		Key      string
		UploadId string
	}{Bucket: of.bucket, Key: of.object, UploadId: id})
}

func (api *xmlAPI) putPart(w http.ResponseWriter, r *http.Request, of target) {
	number, err := strconv.Atoi(of.query.Get("partNumber"))
	if err != nil || number < 1 || number > 10_000 {
		refuse(w, http.StatusBadRequest, "InvalidArgument", "partNumber is not between 1 and 10000.")
		return
	}
	data, err := io.ReadAll(r.Body)
	if err != nil {
		refuse(w, http.StatusBadRequest, "IncompleteBody", err.Error())
		return
	}
	etag := fmt.Sprintf("\"%x\"", md5.Sum(data))
	api.uploads.mutex.Lock()
	defer api.uploads.mutex.Unlock()
	upload := api.uploads.find(w, of)
	if upload == nil {
		return
	}
	upload.parts[number] = part{etag, data}
	w.Header().Set("ETag", etag)
}

func (api *xmlAPI) joinUpload(w http.ResponseWriter, r *http.Request, of target) {
	var wanted struct {
		Part []struct {
			PartNumber int
			ETag       string
		}
	}
	if err := xml.NewDecoder(r.Body).Decode(&wanted); err != nil {
		refuse(w, http.StatusBadRequest, "MalformedCompleteMultipartUploadRequest", err.Error())
		return
	}
	// Whoever comes meanwhile finds it done or not begun.
	api.uploads.mutex.Lock()
	defer api.uploads.mutex.Unlock()
	upload := api.uploads.find(w, of)
	if upload == nil {
		return
	}
	var whole []io.Reader
	last := 0
	for index, named := range wanted.Part {
		part, is := upload.parts[named.PartNumber]
		if !is || part.etag != named.ETag {
			refuse(w, http.StatusBadRequest, "InvalidPart", "One or more of the specified parts could not be found.")
			return
		}
		if named.PartNumber <= last {
			refuse(w, http.StatusBadRequest, "InvalidPartOrder", "The list of parts was not in ascending order.")
			return
		}
		if len(part.data) < leastPart && index+1 < len(wanted.Part) {
			refuse(w, http.StatusBadRequest, "EntityTooSmall", "A part is smaller than the minimum allowed size.")
			return
		}
		last = named.PartNumber
		whole = append(whole, bytes.NewReader(part.data))
	}
	// There are no conditions for uploads in parts.
	written, ok := api.write(w, upload.of, "", upload.header, io.MultiReader(whole...))
	if !ok {
		return
	}
	delete(api.uploads.open, of.query.Get("uploadId"))
	w.Header().Set("x-goog-generation", written.Generation)
	tell(w, http.StatusOK, struct {
		XMLName xml.Name `xml:"CompleteMultipartUploadResult"`
		Bucket  string
		Key     string
		ETag    string
	}{Bucket: of.bucket, Key: of.object, ETag: strconv.Quote(written.Etag)})
}

func (api *xmlAPI) abortUpload(w http.ResponseWriter, of target) {
	api.uploads.mutex.Lock()
	defer api.uploads.mutex.Unlock()
	if api.uploads.find(w, of) == nil {
		return
	}
	delete(api.uploads.open, of.query.Get("uploadId"))
	w.WriteHeader(http.StatusNoContent)
}

// The upload that a request names, or it tells that there is none. The mutex is held.
func (uploads *uploads) find(w http.ResponseWriter, of target) *upload {
	upload := uploads.open[of.query.Get("uploadId")]
	if upload == nil || upload.of.bucket != of.bucket || upload.of.object != of.object {
		refuse(w, http.StatusNotFound, "NoSuchUpload", "The specified upload does not exist.")
		return nil
	}
	return upload
}
