/* SPDX-License-Identifier: Apache-2.0 */
#include "source/recording.h"

#include <endian.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/hash.h"

/* A chunk's checksum covers everything behind itself. */
#define CHECKSUM_SIZE 8

/* Writes to the disk are of this size. */
#define STREAM_BUFFER_SIZE ((size_t)256 * 1024)

struct ft_recording_writer {
    FILE *file;
    uint64_t bytes_max;
    uint64_t bytes;
    ft_err err; /* The first one. */
    uint8_t scratch[FT_RECORDING_CHUNK_SIZE + FT_CHUNK_SIZE_MAX];
};

struct ft_recording_reader {
    FILE *file;
    char path[FT_DIAG_FILE_SIZE];
    uint64_t offset;
    struct ft_chunk chunk;
    uint8_t scratch[FT_RECORDING_CHUNK_SIZE + FT_CHUNK_SIZE_MAX];
};

static void put_u32(uint8_t *at, uint32_t value);
static void put_u64(uint8_t *at, uint64_t value);
static uint32_t get_u32(const uint8_t *at);
static uint64_t get_u64(const uint8_t *at);
static uint64_t checksum(const uint8_t *chunk, size_t size);
static ft_err write_all(struct ft_recording_writer *writer, const void *data, size_t size);
static ft_err check_file_header(struct ft_recording_reader *reader, struct ft_diag *reterr_diag);
static ft_err corrupt(const struct ft_recording_reader *reader, struct ft_diag *reterr_diag,
                      const char *what);

ft_err ft_recording_writer_open(const char *path, uint64_t bytes_max,
                                struct ft_recording_writer **ret_writer)
{
    struct ft_recording_writer *writer = calloc(1, sizeof *writer);
    if (writer == NULL) {
        return ft_err_from_errno(ENOMEM);
    }
    writer->bytes_max = bytes_max;
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    writer->file = fd >= 0 ? fdopen(fd, "wb") : NULL;
    if (writer->file == NULL) {
        ft_err err = ft_err_last();
        if (fd >= 0) {
            close(fd);
        }
        free(writer);
        return err;
    }
    /* When the buffer cannot be had, the default one serves. */
    (void)setvbuf(writer->file, NULL, _IOFBF, STREAM_BUFFER_SIZE);
    uint8_t header[FT_RECORDING_HEADER_SIZE] = FT_RECORDING_MAGIC;
    header[FT_RECORDING_HEADER_SIZE - 1] = FT_RECORDING_VERSION;
    ft_err err = write_all(writer, header, sizeof header);
    if (err != FT_OK) {
        ft_err_ignore(ft_recording_writer_close(writer), "the first error is the one to tell");
        return err;
    }
    *ret_writer = writer;
    return FT_OK;
}

ft_err ft_recording_writer_add(struct ft_recording_writer *writer, const struct ft_chunk *chunk)
{
    if (writer->err != FT_OK) {
        return writer->err;
    }
    if (chunk->size > FT_CHUNK_SIZE_MAX) {
        return FT_E_RANGE;
    }
    size_t size = FT_RECORDING_CHUNK_SIZE + chunk->size;
    if (writer->bytes + size > writer->bytes_max) {
        writer->err = FT_E_FULL;
        return writer->err;
    }
    uint8_t *at = writer->scratch;
    put_u32(at + 8, (uint32_t)chunk->kind);
    put_u32(at + 12, (uint32_t)chunk->size);
    put_u64(at + 16, (uint64_t)chunk->real_ns);
    put_u64(at + 24, (uint64_t)chunk->mono_ns);
    put_u64(at + 32, (uint64_t)chunk->value);
    if (chunk->size > 0) {
        memcpy(at + FT_RECORDING_CHUNK_SIZE, chunk->data, chunk->size);
    }
    put_u64(at, checksum(at, size));
    return write_all(writer, at, size);
}

uint64_t ft_recording_writer_get_bytes(const struct ft_recording_writer *writer)
{
    return writer->bytes;
}

ft_err ft_recording_writer_close(struct ft_recording_writer *writer)
{
    if (writer == NULL) {
        return FT_OK;
    }
    ft_err err = writer->err != FT_E_FULL ? writer->err : FT_OK;
    if (fclose(writer->file) != 0 && err == FT_OK) {
        err = ft_err_last();
    }
    free(writer);
    return err;
}

ft_err ft_recording_reader_open(const char *path, struct ft_recording_reader **ret_reader,
                                struct ft_diag *reterr_diag)
{
    FT_CLEANUP(ft_recording_reader_close)
    struct ft_recording_reader *reader = calloc(1, sizeof *reader);
    if (reader == NULL) {
        return ft_diag_set(reterr_diag, ft_err_from_errno(ENOMEM), path, 0, 0, "out of memory");
    }
    (void)snprintf(reader->path, sizeof reader->path, "%s", path);
    reader->chunk.data = reader->scratch + FT_RECORDING_CHUNK_SIZE;
    reader->file = fopen(path, "rbe");
    if (reader->file == NULL) {
        ft_err err = ft_err_last();
        return ft_diag_set(reterr_diag, err, path, 0, 0, "cannot be opened: %s", ft_err_text(err));
    }
    FT_TRY(check_file_header(reader, reterr_diag));
    *ret_reader = FT_TAKE(reader);
    return FT_OK;
}

void ft_recording_reader_close(struct ft_recording_reader *reader)
{
    if (reader != NULL) {
        if (reader->file != NULL) {
            fclose(reader->file);
        }
        free(reader);
    }
}

ft_err ft_recording_reader_next(struct ft_recording_reader *reader,
                                const struct ft_chunk **ret_chunk, struct ft_diag *reterr_diag)
{
    uint8_t *at = reader->scratch;
    size_t got = fread(at, 1, FT_RECORDING_CHUNK_SIZE, reader->file);
    if (got == 0 && feof(reader->file)) {
        return FT_E_END;
    }
    if (got < FT_RECORDING_CHUNK_SIZE) {
        return corrupt(reader, reterr_diag, "is cut off in its header");
    }
    size_t size = get_u32(at + 12);
    if (size > FT_CHUNK_SIZE_MAX) {
        return corrupt(reader, reterr_diag, "has an impossible size");
    }
    if (fread(at + FT_RECORDING_CHUNK_SIZE, 1, size, reader->file) < size) {
        return corrupt(reader, reterr_diag, "is cut off in its data");
    }
    if (get_u64(at) != checksum(at, FT_RECORDING_CHUNK_SIZE + size)) {
        return corrupt(reader, reterr_diag, "fails its checksum");
    }
    reader->offset += FT_RECORDING_CHUNK_SIZE + size;
    reader->chunk.kind = (enum ft_chunk_kind)get_u32(at + 8);
    reader->chunk.size = size;
    reader->chunk.real_ns = (int64_t)get_u64(at + 16);
    reader->chunk.mono_ns = (int64_t)get_u64(at + 24);
    reader->chunk.value = (int64_t)get_u64(at + 32);
    *ret_chunk = &reader->chunk;
    return FT_OK;
}

static void put_u32(uint8_t *at, uint32_t value)
{
    value = htole32(value);
    memcpy(at, &value, sizeof value);
}

static void put_u64(uint8_t *at, uint64_t value)
{
    value = htole64(value);
    memcpy(at, &value, sizeof value);
}

static uint32_t get_u32(const uint8_t *at)
{
    uint32_t value;
    memcpy(&value, at, sizeof value);
    return le32toh(value);
}

static uint64_t get_u64(const uint8_t *at)
{
    uint64_t value;
    memcpy(&value, at, sizeof value);
    return le64toh(value);
}

/* 'size' is the whole chunk's. */
static uint64_t checksum(const uint8_t *chunk, size_t size)
{
    return ft_hash64(chunk + CHECKSUM_SIZE, size - CHECKSUM_SIZE, 0);
}

static ft_err write_all(struct ft_recording_writer *writer, const void *data, size_t size)
{
    if (fwrite(data, 1, size, writer->file) != size) {
        writer->err = errno != 0 ? ft_err_last() : ft_err_from_errno(EIO);
        return writer->err;
    }
    writer->bytes += size;
    return FT_OK;
}

static ft_err check_file_header(struct ft_recording_reader *reader, struct ft_diag *reterr_diag)
{
    uint8_t header[FT_RECORDING_HEADER_SIZE];
    size_t magic_size = strlen(FT_RECORDING_MAGIC);
    if (fread(header, 1, sizeof header, reader->file) != sizeof header ||
        memcmp(header, FT_RECORDING_MAGIC, magic_size) != 0) {
        return ft_diag_set(reterr_diag, FT_E_SYNTAX, reader->path, 0, 0,
                           "is not a recording: it does not begin with FTREC1");
    }
    if (header[magic_size] != FT_RECORDING_VERSION) {
        return ft_diag_set(reterr_diag, FT_E_UNSUPPORTED, reader->path, 0, 0,
                           "is a recording of version %u; this program reads version %u",
                           header[magic_size], FT_RECORDING_VERSION);
    }
    reader->offset = sizeof header;
    return FT_OK;
}

static ft_err corrupt(const struct ft_recording_reader *reader, struct ft_diag *reterr_diag,
                      const char *what)
{
    return ft_diag_set(reterr_diag, FT_E_CORRUPT, reader->path, 0, 0,
                       "the chunk at offset %" PRIu64 " %s", reader->offset, what);
}
