/*
 * make_media_seeds.c - makes the seeds of media_fuzz: small files of each sort
 *
 *     make_media_seeds tests/fuzz/media
 */
#include "runtime/media/base64.h"
#include "tests/media/samples.h"
#include <sndfile.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *folder;

static void save(const char *name, struct media_bytes bytes)
{
    char path[4096];
    FILE *file;
    snprintf(path, sizeof(path), "%s/%s", folder, name);
    file = fopen(path, "wb");
    if (file == NULL || fwrite(bytes.bytes, 1, bytes.length, file) != bytes.length ||
        fclose(file) != 0) {
        perror(path);
        exit(1);
    }
    free(bytes.bytes);
}

static void save_png(const char *name, struct png_sample png)
{
    png.width = 5;
    png.height = 3;
    save(name, sample_png(&png));
}

static void save_jpeg(const char *name, struct jpeg_sample jpeg)
{
    jpeg.width = 9;
    jpeg.height = 5;
    save(name, sample_jpeg(&jpeg));
}

static void save_sound(const char *name, int format, int channels)
{
    save(name, sample_sound(format, 8000, channels, 20));
}

static void save_data_url(const char *name)
{
    static const char head[] = "data:image/png;base64,";
    struct media_bytes png = sample_png(&(struct png_sample){2, 2, RGB, 8, .key = false}), url;
    url.length = sizeof(head) - 1 + BASE64_ENCODED(png.length);
    url.bytes = malloc(url.length);
    if (url.bytes == NULL)
        exit(1);
    memcpy(url.bytes, head, sizeof(head) - 1);
    base64_encode(png.bytes, png.length, (char *)url.bytes + sizeof(head) - 1);
    free(png.bytes);
    save(name, url);
}

static void save_text(const char *name, const char *text)
{
    save(name, (struct media_bytes){(unsigned char *)strdup(text), strlen(text)});
}

int main(int argc, char **argv)
{
    if (argc != 2) {
        fprintf(stderr, "usage: make_media_seeds FOLDER\n");
        return 2;
    }
    folder = argv[1];
    save_png("png-grey-1", (struct png_sample){.color_type = GREY, .depth = 1});
    save_png("png-palette-key",
             (struct png_sample){.color_type = PALETTE, .depth = 4, .key = true});
    save_png("png-rgb-16-interlaced",
             (struct png_sample){.color_type = RGB, .depth = 16, .interlaced = true});
    save_png("png-rgba-extra",
             (struct png_sample){.color_type = RGB_ALPHA, .depth = 8, .extra = true});
    save_jpeg("jpeg-grey", (struct jpeg_sample){.components = 1});
    save_jpeg("jpeg-progressive", (struct jpeg_sample){.components = 3, .progressive = true});
    save_jpeg("jpeg-cmyk", (struct jpeg_sample){.components = 4});
    save_sound("wav-8", SF_FORMAT_WAV | SF_FORMAT_PCM_U8, 1);
    save_sound("wav-16-stereo", SF_FORMAT_WAV | SF_FORMAT_PCM_16, 2);
    save_sound("wav-24-extensible", SF_FORMAT_WAVEX | SF_FORMAT_PCM_24, 1);
    save_sound("wav-float", SF_FORMAT_WAV | SF_FORMAT_FLOAT, 1);
    save_sound("flac-16", SF_FORMAT_FLAC | SF_FORMAT_PCM_16, 2);
    save_data_url("data-url-png");
    save_text("data-url-text", "data:text/plain,RIFF%24%00%00%00WAVEfmt%20");
    save_text("base64", "UklGRiQAAABXQVZFZm10IA==");
    return 0;
}
