/* Datasets on disk: see datasets.h. */
#include "datasets.h"
#include "base/file.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define ENTRIES_MOST 100000 /* of a folder: so many classes there may be */

/* ---- Names ------------------------------------------------------------------------------------------------------ */

bool dataset_name_safe(const char *name)
{
	size_t n = strlen(name);

	for (size_t i = 0; i < n; i++)
		if (!isalnum((unsigned char)name[i]) && (i == 0 || !strchr("-_.", name[i])))
			return false;
	return n > 0 && n <= DATASET_NAME_MOST;
}

td_status dataset_file_check(const char *name, struct err *e)
{
	size_t n = strlen(name);
	bool plain = n > 0 && n <= DATASET_FILE_MOST && *name != '.' && utf8_valid(name, n);

	for (size_t i = 0; plain && i < n; i++)
		plain = (unsigned char)name[i] >= ' ' && name[i] != 0x7f && name[i] != '/';
	if (!plain)
		return err_set(e, TD_INVALID,
			"the file's name is \"%.140s\"; expected 1 to %d bytes without '/', not beginning with '.'",
			name, DATASET_FILE_MOST);
	if (!strncmp(name, DATASET_PACK, strlen(DATASET_PACK)) || (n > 5 && !strcmp(name + n - 5, ".part")))
		return err_set(e, TD_INVALID,
			"the file's name is \"%.140s\"; names that begin with \"" DATASET_PACK
			"\" or end in \".part\" are "
			"Tandem's own",
			name);
	return TD_OK;
}

/* ---- Paths ------------------------------------------------------------------------------------------------------ */

char *dataset_path(const struct config *c, const char *name, const char *file)
{
	return mem_printf("%s/datasets/%s%s%s", c->data_dir, name, file ? "/" : "", file ? file : "");
}

char *dataset_pack_path(const struct config *c, const char *name, const char *key)
{
	return mem_printf("%s/datasets/%s/" DATASET_PACK "%s", c->data_dir, name, key);
}

char *dataset_known_folder(const struct config *c, const struct known_dataset *k)
{
	char *folder = c->data_root ? mem_printf("%s/%s", c->data_root, k->name) : NULL;

	if (folder && known_complete(k, folder))
		return folder;
	mem_free(folder);
	folder = dataset_path(c, k->name, NULL);
	if (known_complete(k, folder))
		return folder;
	mem_free(folder);
	return NULL;
}

char *dataset_file_path(
	const struct config *c, const char *name, const char *source, const char *folder, const char *file)
{
	const struct known_dataset *k = !strcmp(source, "known") ? known_dataset(name) : NULL;
	char *where = NULL, *path;

	if (k)
		where = dataset_known_folder(c, k);
	else if (!strcmp(source, "folder") && folder && c->data_root)
		where = mem_printf("%s/%s", c->data_root, folder);
	if (!where)
		where = dataset_path(c, name, NULL);
	path = *file ? mem_printf("%s/%s", where, file) : mem_strdup(where);
	mem_free(where);
	return path;
}

/* ---- Folders of --data-root ------------------------------------------------------------------------------------- */

/* The place of PATH without links; it must lie below ROOT, which has none either. */
static td_status resolve_below(const char *root, const char *path, char out[PATH_MAX], struct err *e)
{
	size_t n = strlen(root);

	if (!realpath(path, out))
		return errno == ENOENT || errno == ENOTDIR
			       ? err_set(e, TD_NOT_FOUND, "there is no %.200s below --data-root %.200s", path, root)
			       : err_errno(e, "looking for %.200s", path);
	if (strncmp(out, root, n) != 0 || (out[n] && out[n] != '/'))
		return err_set(e, TD_INVALID, "%.200s leads out of --data-root %.200s", path, root);
	return TD_OK;
}

static td_status resolve_root(const struct config *c, char root[PATH_MAX], struct err *e)
{
	if (!c->data_root || !realpath(c->data_root, root))
		return err_set(e, TD_INVALID, "this daemon reads no folders: --data-root %.200s is not there",
			c->data_root ? c->data_root : "");
	return TD_OK;
}

td_status dataset_root_folder(const struct config *c, const char *folder, char **path, struct err *e)
{
	char root[PATH_MAX], place[PATH_MAX], *wanted;
	struct stat st;

	*path = NULL;
	if (resolve_root(c, root, e))
		return e->status;
	if (!*folder || *folder == '/' || strlen(folder) > 1000)
		return err_set(e, TD_INVALID,
			"the folder is \"%.200s\"; expected its path relative to --data-root, as \"flowers/2024\"",
			folder);
	wanted = mem_printf("%s/%s", root, folder);
	if (!resolve_below(root, wanted, place, e)) {
		if (stat(place, &st) || !S_ISDIR(st.st_mode))
			err_set(e, TD_INVALID, "%.200s is not a folder", wanted);
		else
			*path = mem_strdup(place);
	}
	mem_free(wanted);
	return e->status;
}

td_status dataset_file_place(const struct config *c, const char *name, const char *source, const char *folder,
	const char *file, char **place, struct err *e)
{
	char *path = dataset_file_path(c, name, source, folder, file), root[PATH_MAX], found[PATH_MAX];

	if (strcmp(source, "folder") != 0) {
		*place = path;
		return TD_OK;
	}
	*place = NULL;
	if (!resolve_root(c, root, e) && !resolve_below(root, path, found, e))
		*place = mem_strdup(found);
	mem_free(path);
	return e->status;
}

struct entry {
	char *name;      /* owned */
	int64_t n_bytes; /* -1: a folder */
};

struct entries {
	struct entry *items; /* owned */
	int n, room;
	int n_plain; /* how many are files */
};

static int by_name(const void *a, const void *b)
{
	const struct entry *x = a, *y = b;

	return strcmp(x->name, y->name);
}

/* Take the entry NAME in: a file or a folder, and if it is a link, one that stays below ROOT. */
static td_status add_entry(struct entries *l, const char *root, const char *path, const char *name, struct err *e)
{
	char place[PATH_MAX], *entry;
	struct stat st = { 0 };

	if (!utf8_valid(name, strlen(name)))
		return err_set(e, TD_INVALID, "the name of an entry of %.200s is not UTF-8; rename it", path);
	entry = mem_printf("%s/%s", path, name);
	if (!resolve_below(root, entry, place, e) && stat(place, &st))
		err_errno(e, "looking at %.200s", entry);
	else if (!e->status && !S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode))
		err_set(e, TD_INVALID, "%.300s is neither a file nor a folder", entry);
	else if (!e->status && l->n == ENTRIES_MOST)
		err_set(e, TD_TOO_LARGE, "%.200s has more than %d entries", path, ENTRIES_MOST);
	mem_free(entry);
	if (e->status)
		return e->status;
	MEM_GROW(l->items, l->n, l->room);
	l->items[l->n++] = (struct entry){ mem_strdup(name), S_ISREG(st.st_mode) ? st.st_size : -1 };
	l->n_plain += S_ISREG(st.st_mode);
	return TD_OK;
}

static td_status read_entries(const struct config *c, const char *path, struct entries *l, struct err *e)
{
	char root[PATH_MAX];
	struct dirent *d;
	DIR *dir;

	if (resolve_root(c, root, e))
		return e->status;
	dir = opendir(path);
	if (!dir)
		return err_errno(e, "reading %.200s", path);
	while (!e->status && (d = readdir(dir)))
		if (*d->d_name != '.')
			add_entry(l, root, path, d->d_name, e);
	closedir(dir);
	if (!e->status && !l->n)
		err_set(e, TD_INVALID, "%.200s is empty", path);
	if (!e->status && l->n_plain && l->n > DATASET_FILES_MOST)
		err_set(e, TD_TOO_LARGE,
			"%.200s has %d entries, more than %d; pack them into an archive, or sort them into "
			"folders",
			path, l->n, DATASET_FILES_MOST);
	if (l->n)
		qsort(l->items, (size_t)l->n, sizeof *l->items, by_name);
	return e->status;
}

td_status dataset_list_folder(const struct config *c, const char *path,
	void (*each)(void *arg, const char *name, int64_t n_bytes), void *arg, struct err *e)
{
	struct entries l = { 0 };

	read_entries(c, path, &l, e);
	if (!e->status && !l.n_plain)
		each(arg, "", -1);
	for (int i = 0; i < l.n; i++) {
		if (!e->status && l.n_plain)
			each(arg, l.items[i].name, l.items[i].n_bytes);
		mem_free(l.items[i].name);
	}
	mem_free(l.items);
	return e->status;
}

/* ---- Known ones ------------------------------------------------------------------------------------------------- */

/* A mirror serves many datasets: BASE/NAME/FILE. */
static char *known_url(const struct config *c, const struct known_dataset *k, int file)
{
	const char *mirror = c->dataset_mirror;
	size_t n = mirror ? strlen(mirror) : 0;

	if (mirror)
		return mem_printf(
			"%s%s%s/%s", mirror, n && mirror[n - 1] == '/' ? "" : "/", k->name, k->files[file].name);
	return mem_printf("%s%s", k->base_url, k->files[file].name);
}

td_status dataset_add_known(
	struct store_tx *tx, const struct config *c, const struct known_dataset *k, const char *owner, struct err *e)
{
	struct dataset_file files[KNOWN_FILES_MOST] = { 0 };
	struct dataset d = { .name = (char *)k->name,
		.state = DATA_FETCHING,
		.source = (char *)"known",
		.format = (char *)k->format,
		.request = (char *)"{}",
		.owner = (char *)owner };
	td_status s;

	for (int i = 0; i < k->n_files; i++) {
		files[i] = (struct dataset_file){ .dataset = k->name,
			.file = k->files[i].name,
			.url = known_url(c, k, i),
			.sha256 = k->files[i].sha256,
			.n_bytes = k->files[i].n_bytes,
			.state = "waiting",
			.position = i };
		d.max_bytes += k->files[i].n_bytes;
	}
	s = store_dataset_insert(tx, &d, files, k->n_files, e);
	for (int i = 0; i < k->n_files; i++)
		mem_free((char *)files[i].url);
	return s;
}
