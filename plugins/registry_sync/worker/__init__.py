"""Files that the tasks of one machine share: private directories and write locks."""
