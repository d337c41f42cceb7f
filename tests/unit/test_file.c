/* Files: a second name, or a copy where there can be none. */
#include "base/file.h"

#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <cmocka.h>

/* One folder below /tmp and one on another file system. */
struct folders {
	char here[64], there[64];
};

static void make_folders(struct folders *f)
{
	struct err e = { 0 };
	char path[80];

	snprintf(f->here, sizeof f->here, "/tmp/tandem-file-XXXXXX");
	snprintf(f->there, sizeof f->there, "/dev/shm/tandem-file-XXXXXX");
	assert_non_null(mkdtemp(f->here));
	assert_non_null(mkdtemp(f->there));
	snprintf(path, sizeof path, "%s/old", f->here);
	assert_int_equal(file_write(path, "weights", 7, &e), TD_OK);
}

static void remove_folders(const struct folders *f)
{
	file_remove_tree(f->here, NULL);
	file_remove_tree(f->there, NULL);
}

/* Give HERE/old the name FOLDER/new; the bytes of that, and how many names they have. */
static nlink_t link_into(const struct folders *f, const char *folder)
{
	char old[80], new[80], text[SHA256_TEXT], wanted[SHA256_TEXT];
	struct err e = { 0 };
	struct stat st;

	snprintf(old, sizeof old, "%s/old", f->here);
	snprintf(new, sizeof new, "%s/new", folder);
	assert_int_equal(file_link(old, new, &e), TD_OK);
	sha256_of("weights", 7, wanted);
	assert_int_equal(sha256_of_file(new, text, &(int64_t){ 0 }, &e), TD_OK);
	assert_string_equal(text, wanted);
	assert_int_equal(stat(new, &st), 0);
	/* What has the name already is never written over. */
	assert_int_equal(file_link(old, new, &e), TD_IO);
	return st.st_nlink;
}

static void one_file_gets_two_names(void **state)
{
	struct folders f;

	(void)state;
	make_folders(&f);
	assert_int_equal(link_into(&f, f.here), 2);
	remove_folders(&f);
}

static void on_another_file_system_it_is_copied(void **state)
{
	struct stat here, there;
	struct folders f;

	(void)state;
	make_folders(&f);
	assert_int_equal(stat(f.here, &here) || stat(f.there, &there), 0);
	if (here.st_dev == there.st_dev) {
		remove_folders(&f);
		skip();
	}
	assert_int_equal(link_into(&f, f.there), 1);
	remove_folders(&f);
}

static void what_is_not_there_has_no_second_name(void **state)
{
	char old[80], new[80];
	struct err e = { 0 };
	struct folders f;

	(void)state;
	make_folders(&f);
	snprintf(old, sizeof old, "%s/none", f.here);
	snprintf(new, sizeof new, "%s/new", f.there);
	assert_int_equal(file_link(old, new, &e), TD_NOT_FOUND);
	assert_int_equal(file_link(old, new, NULL), TD_NOT_FOUND);
	remove_folders(&f);
}

static void a_copy_that_fails_leaves_nothing(void **state)
{
	char new[80];
	struct err e = { 0 };
	struct folders f;
	struct stat st;

	(void)state;
	make_folders(&f);
	snprintf(new, sizeof new, "%s/new", f.there);
	assert_int_not_equal(file_link(f.here, new, &e), TD_OK); /* a folder has neither links nor bytes */
	assert_int_not_equal(stat(new, &st), 0);
	remove_folders(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_file_gets_two_names),
		cmocka_unit_test(on_another_file_system_it_is_copied),
		cmocka_unit_test(what_is_not_there_has_no_second_name),
		cmocka_unit_test(a_copy_that_fails_leaves_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
