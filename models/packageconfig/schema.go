package packageconfig

import (
	"math"
	"net/url"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"millrace/models"
)

// The words of these messages are Packit's: people look for them.
const (
	unknownField = "Unknown field."
	missingField = "Missing data for required field."
	notNull      = "Field may not be null."
	notString    = "Not a valid string."
	notBoolean   = "Not a valid boolean."
	notInteger   = "Not a valid integer."
	notList      = "Not a valid list."
	notMapping   = "Not a valid mapping type."
	wrongType    = "Invalid input type."
	invalidValue = "Invalid value."
)

// A field is what the schema knows of a key. read returns a value of the type
// of the key's field in models.PackageSettings or models.JobView; ok is false
// if it reported a mistake.
type field struct {
	null any // what a null means; nil means that null is a mistake
	read func(l *loader, v *value) (result any, ok bool)
}

var (
	noString  = (*string)(nil)
	noStrings = []string(nil)
	noMap     = map[string]any(nil)
)

// packageFields are the keys that packages, and jobs, may have.
var packageFields = map[string]field{
	"config_file_path":                   {noString, readOptional},
	"specfile_path":                      {noString, readOptional},
	"downstream_package_name":            {noString, readOptional},
	"upstream_package_name":              {noString, readFileName},
	"upstream_project_url":               {noString, readOptional},
	"paths":                              {nil, readStrings},
	"upstream_ref":                       {noString, readOptional},
	"upstream_tag_template":              {nil, readString},
	"upstream_tag_include":               {nil, readString},
	"upstream_tag_exclude":               {nil, readString},
	"archive_root_dir_template":          {nil, readString},
	"dist_git_base_url":                  {noString, readOptional},
	"dist_git_namespace":                 {noString, readOptional},
	"pkg_tool":                           {noString, readOptional},
	"sig":                                {noString, readOptional},
	"allowed_gpg_keys":                   {noStrings, readStrings},
	"spec_source_id":                     {nil, readSourceID},
	"files_to_sync":                      {nil, readFilesToSync},
	"actions":                            {nil, readActions},
	"create_pr":                          {nil, readBool},
	"sync_changelog":                     {nil, readBool},
	"create_sync_note":                   {nil, readBool},
	"patch_generation_ignore_paths":      {[]string{}, readStrings},
	"patch_generation_patch_id_digits":   {nil, readCount},
	"notifications":                      {nil, readNotifications},
	"copy_upstream_release_description":  {nil, readBool},
	"sources":                            {[]models.ConfigSource{}, readSources},
	"merge_pr_in_ci":                     {nil, readBool},
	"srpm_build_deps":                    {noStrings, readStrings},
	"identifier":                         {noString, readOptional},
	"packit_instances":                   {nil, readInstances},
	"issue_repository":                   {noString, readOptional},
	"release_suffix":                     {noString, readOptional},
	"version_suffix":                     {noString, readOptional},
	"update_release":                     {nil, readBool},
	"preserve_spec":                      {nil, readBool},
	"prerelease_suffix_pattern":          {nil, readString},
	"prerelease_suffix_macro":            {noString, readOptional},
	"upload_sources":                     {nil, readBool},
	"version_update_mask":                {noString, readOptional},
	"version_update_specifiers":          {noString, readSpecifiers},
	"parse_time_macros":                  {map[string]any{}, readMap},
	"test_command":                       {nil, readTestCommand},
	"require":                            {nil, readRequire},
	"status_name_template":               {noString, readOptional},
	"sync_test_job_statuses_with_builds": {nil, readBool},
	"targets":                            {models.Targets{}, readTargets},
	"dist_git_branches":                  {models.DistGitBranches{}, readBranches},
	"timeout":                            {nil, readInt},
	"owner":                              {noString, readOptional},
	"project":                            {noString, readOptional},
	"branch":                             {noString, readOptional},
	"scratch":                            {nil, readBool},
	"list_on_homepage":                   {nil, readBool},
	"preserve_project":                   {nil, readBool},
	"module_hotfixes":                    {nil, readBool},
	"additional_packages":                {[]string{}, readStrings},
	"additional_repos":                   {[]string{}, readStrings},
	"bootstrap":                          {"default", readBootstrap},
	"enable_net":                         {nil, readBool},
	"use_internal_tf":                    {nil, readBool},
	"fmf_url":                            {noString, readOptional},
	"fmf_ref":                            {noString, readOptional},
	"fmf_path":                           {noString, readOptional},
	"use_target_repo_for_fmf_url":        {nil, readBool},
	"tmt_plan":                           {noString, readOptional},
	"tf_post_install_script":             {noString, readOptional},
	"tf_extra_params":                    {map[string]any{}, readMap},
	"skip_missing_branched_composes":     {nil, readBool},
	"env":                                {map[string]any{}, readEnv},
	"allowed_pr_authors":                 {[]string{"packit"}, readStrings},
	"allowed_committers":                 {[]string{}, readStrings},
	"allowed_builders":                   {[]string{"packit"}, readStrings},
	"bodhi_extra_params":                 {map[string]any{}, readMap},
	"image_distribution":                 {noString, readOptional},
	"copr_chroot":                        {noString, readOptional},
	"image_request":                      {noMap, readMap},
	"image_customizations":               {noMap, readMap},
	"osh_diff_scan_after_copr_build":     {nil, readBool},
	"csmock_args":                        {noString, readOptional},
	"osh_options":                        {nil, readOSHOptions},
	"clone_repos_before_run_condition":   {nil, readBool},
}

// jobFields are the keys that only jobs may have, besides job, trigger,
// packages and package. A null is as good as nothing for all of them.
var jobFields = map[string]field{
	"skip_build":     {nil, readBool},
	"manual_trigger": {nil, readBool},
	"labels":         {nil, readStrings},
	"sidetag_group":  {nil, readOptional},
	"dependents":     {nil, readStrings},
	"dependencies":   {nil, readStrings},
}

// metadataKeys are the keys that the mapping `metadata` of a job may have.
var metadataKeys = []string{
	"targets", "timeout", "owner", "project", "dist_git_branches", "branch", "scratch", "list_on_homepage",
	"preserve_project", "use_internal_tf", "additional_packages", "additional_repos", "bootstrap", "fmf_url",
	"fmf_ref", "fmf_path", "skip_build", "env", "enable_net", "tmt_plan", "tf_post_install_script",
	"tf_extra_params", "module_hotfixes",
}

var (
	packageKeys = keysOf(packageFields)
	jobOnlyKeys = append(keysOf(jobFields), "job", "trigger", "packages", "package")
	pkgTools    = []string{"fedpkg", "fedpkg-stage", "centpkg", "centpkg-sig"}
)

func keysOf(fields map[string]field) []string {
	keys := make([]string, 0, len(fields))
	for k := range fields {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

type decoded struct {
	result any
	ok     bool
}

// decode reads the value of a key, once, however many jobs inherit it.
func (l *loader) decode(f field, v *value) (any, bool) {
	if d, done := l.decoded[v]; done {
		return d.result, d.ok
	}
	var d decoded
	switch {
	case v.kind != null:
		d.result, d.ok = f.read(l, v)
	case f.null != nil:
		d = decoded{f.null, true}
	default:
		l.problems.fail(at(v), notNull, "Remove the key, or give it a value.")
	}
	l.decoded[v] = d
	return d.result, d.ok
}

func (l *loader) failed(v *value, message, hint string) (any, bool) {
	l.problems.fail(at(v), message, hint)
	return nil, false
}

// unknown reports a key that does not belong where it stands.
func (l *loader) unknown(e *entry, allowed []string) {
	l.problems.fail(atKey(e), unknownField, advice(e.key.name(), allowed))
}

func readString(l *loader, v *value) (any, bool) {
	if v.kind == text {
		return v.s, true
	}
	hint := ""
	switch v.kind {
	case boolean, integer, float, date:
		hint = "Put quotes around it: '" + clip(v.s, 50) + "'."
	}
	return l.failed(v, notString, hint)
}

func readOptional(l *loader, v *value) (any, bool) {
	s, ok := readString(l, v)
	if !ok {
		return nil, false
	}
	t := s.(string)
	return &t, true
}

func readFileName(l *loader, v *value) (any, bool) {
	if v.kind == text && strings.ContainsAny(v.s, "/\x00") {
		return l.failed(v, "Repository name must be a valid filename.", "Leave out what stands before the last slash.")
	}
	return readOptional(l, v)
}

var (
	truthy = []string{"t", "T", "true", "True", "TRUE", "on", "On", "ON", "y", "Y", "yes", "Yes", "YES", "1"}
	falsy  = []string{"f", "F", "false", "False", "FALSE", "off", "Off", "OFF", "n", "N", "no", "No", "NO", "0"}
)

func readBool(l *loader, v *value) (any, bool) {
	switch {
	case v.kind == boolean:
		return v.b, true
	case v.kind == integer && v.f == 0 && (v.i == 0 || v.i == 1):
		return v.i == 1, true
	case v.kind == float && (v.f == 0 || v.f == 1):
		return v.f == 1, true
	case v.kind == text && slices.Contains(truthy, v.s):
		return true, true
	case v.kind == text && slices.Contains(falsy, v.s):
		return false, true
	}
	return l.failed(v, notBoolean, "Write true or false.")
}

func readInt(l *loader, v *value) (any, bool) {
	n, ok := v.i, false
	switch v.kind {
	case integer:
		ok = v.f == 0
	case float:
		n, ok = int64(v.f), math.Abs(v.f) < math.MaxInt32
	case text:
		// Python allows underscores between digits and blanks around them.
		t := strings.TrimSpace(v.s)
		if !strings.HasPrefix(t, "_") && !strings.HasSuffix(t, "_") && !strings.Contains(t, "__") {
			t = strings.ReplaceAll(t, "_", "")
		}
		var err error
		n, err = strconv.ParseInt(t, 10, 64)
		ok = err == nil
	}
	if !ok {
		return l.failed(v, notInteger, "Write a whole number.")
	}
	if n > math.MaxInt32 || n < math.MinInt32 {
		return l.failed(v, invalidValue, "The number is too large.")
	}
	return int(n), true
}

func readCount(l *loader, v *value) (any, bool) {
	n, ok := readInt(l, v)
	if ok && n.(int) < 0 {
		return l.failed(v, invalidValue, "The number may not be negative.")
	}
	return n, ok
}

func readStrings(l *loader, v *value) (any, bool) {
	if v.kind != list {
		hint := ""
		if v.kind == text {
			hint = "Write a list: [" + clip(v.s, 50) + "]."
		}
		return l.failed(v, notList, hint)
	}
	result, ok := make([]string, 0, len(v.items)), true
	for _, item := range v.items {
		if item.kind == null {
			l.problems.fail(at(item), notNull, "")
			ok = false
			continue
		}
		s, fine := readString(l, item)
		if ok = ok && fine; ok {
			result = append(result, s.(string))
		}
	}
	return result, ok
}

func readMap(l *loader, v *value) (any, bool) {
	if v.kind != dict {
		return l.failed(v, notMapping, "Write `key: value` pairs.")
	}
	return v.plainMap(), true
}

func readEnv(l *loader, v *value) (any, bool) {
	result, ok := readMap(l, v)
	for _, e := range v.entries {
		if e.key.kind != text {
			l.problems.fail(atKey(e), notString, "Put quotes around the name of the variable.")
			ok = false
		}
	}
	return result, ok
}

// choice reads one of several words.
func (l *loader) choice(v *value, allowed []string) (string, bool) {
	s, ok := readString(l, v)
	if !ok {
		return "", false
	}
	if !slices.Contains(allowed, s.(string)) {
		l.problems.fail(at(v), "Must be one of: "+strings.Join(allowed, ", ")+".", didYouMean(s.(string), allowed))
		return "", false
	}
	return s.(string), true
}

func readBootstrap(l *loader, v *value) (any, bool) {
	return l.choice(v, []string{"default", "on", "off", "image"})
}

func readInstances(l *loader, v *value) (any, bool) {
	if v.kind != list {
		return l.failed(v, notList, "Write a list: [prod].")
	}
	result, ok := make([]string, 0, len(v.items)), true
	for _, item := range v.items {
		if item.kind == null {
			l.problems.fail(at(item), notNull, "")
			ok = false
			continue
		}
		s, fine := l.choice(item, []string{"dev", "stg", "prod"})
		if ok = ok && fine; ok {
			result = append(result, s)
		}
	}
	return result, ok
}

func readSourceID(l *loader, v *value) (any, bool) {
	switch v.kind {
	case integer, float:
		if n, ok := readInt(l, v); ok {
			// Packit keeps a 0 as the number 0, and breaks on it later.
			return "Source" + strconv.Itoa(n.(int)), true
		}
		return nil, false
	case text:
		if n, err := strconv.ParseInt(strings.TrimSpace(v.s), 10, 32); err == nil {
			return "Source" + strconv.FormatInt(n, 10), true
		}
		return v.s, true
	}
	return l.failed(v, notString, "Write the number of a Source, or its name such as Source1.")
}

// distGit stores the instance that the keys of a package come to together.
func (l *loader) distGit(m mapping, s *models.PackageSettings, base, namespace *string) {
	if base != nil {
		host := *base
		if !strings.Contains(host, "://") {
			host = "https://" + host
		}
		u, err := url.Parse(host)
		if err != nil || u.Host == "" {
			l.problems.fail(at(m.get("dist_git_base_url")), "Parsing of the dist-git URL has failed",
				"Write something like https://src.fedoraproject.org/.")
			return
		}
		s.DistGitBaseURL, s.DistGitNamespace = "https://"+strings.ToLower(u.Host)+"/", namespace
		return
	}
	if s.PkgTool == nil || *s.PkgTool == "" {
		return
	}
	path := "rpms"
	switch *s.PkgTool {
	case "fedpkg":
		s.DistGitBaseURL = "https://src.fedoraproject.org/"
	case "fedpkg-stage":
		s.DistGitBaseURL = "https://src.stg.fedoraproject.org/"
	case "centpkg":
		s.DistGitBaseURL, path = "https://gitlab.com/", "redhat/centos-stream/rpms"
	case "centpkg-sig":
		sig := "{sig}"
		if s.Sig != nil {
			sig = *s.Sig
		}
		s.DistGitBaseURL, path = "https://gitlab.com/", "CentOS/"+sig+"/rpms"
	default:
		l.problems.fail(at(m.get("pkg_tool")), "pkg_tool: Must be one of: "+strings.Join(pkgTools, ", ")+".",
			didYouMean(*s.PkgTool, pkgTools))
	}
	s.DistGitNamespace = &path
}

// fieldIndex finds the field of a key in models.PackageSettings.
var fieldIndex = func() map[string]int {
	index := map[string]int{}
	for f := range reflect.TypeFor[models.PackageSettings]().Fields() {
		if key := f.Tag.Get("json"); key != "-" {
			index[key] = f.Index[0]
		}
	}
	return index
}()
